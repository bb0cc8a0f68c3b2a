"""Measurements behind the figures in the documents; each is a program.

- `front_ends`: our front end's errors and cost, beside librosa's and `other_front_ends`
- `side_by_side`: whole pipelines, beside what a user would take instead
- `front_end_in_graph`: bundled models with the front end as a program and in the graph
- `instructions`: instructions of a window, a cost that no other program changes
- `browser`: cost of a window in a browser
- `microcontrollers`: memory and instructions that bundled models need on a microcontroller
"""
