"""What an operator lives on, examined: one topic a module, each examination apart from the others.

Nothing is made, started or changed. *Failed*: flags that are due are missing, cannot be proved or do not reach their
readers, or tonight's run will fail. *Warning*: it works, with less than it should have.
"""
