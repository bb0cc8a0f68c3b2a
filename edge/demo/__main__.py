"""Print the demo clip's path."""

import click

from edge_genre.demo import clip

click.echo(clip())
