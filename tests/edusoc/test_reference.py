from edusoc.reference import PAGE, fields_page


def test_the_fields_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == fields_page(), "run: python -m edusoc.reference"
