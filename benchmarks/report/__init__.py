"""A benchmark's result as a page of HTML and SVG, made of nothing but text."""
