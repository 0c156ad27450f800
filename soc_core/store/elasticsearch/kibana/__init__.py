"""Give analysts their tools in Kibana: data views, saved searches and dashboards, made from the field dictionary.

What the pack holds is told in three tables beside this file (``views.toml``, ``searches.toml``, ``dashboards.toml``);
``pack`` makes saved objects of them, ``checking`` examines any export offline, ``requests`` says what Elasticsearch
would be asked, and ``pushing`` brings them to a live Kibana. Decision record: 0014.
"""
