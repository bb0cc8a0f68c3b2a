"""A benchmark's result as one HTML page, by Jinja2, with charts by matplotlib."""
