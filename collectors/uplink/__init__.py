"""Bring the spool to the centre, over thin links, through proxies, weeks later if need be; bring its orders back."""
