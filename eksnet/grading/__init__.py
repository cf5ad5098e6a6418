"""The grading room: what learners hand in, and what an instructor makes of a class.

`packing` writes a submission and `reading` reads one, whoever wrote it; `marking`, `copying`,
`gradebook`, `feedback` and `overview` are pure; `grading` puts them together.
`nbgrader` makes an assignment of a notebook.
"""
