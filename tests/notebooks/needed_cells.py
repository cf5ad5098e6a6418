"""Which cells a notebook needs to come to a later one: those that change something or give names.

A cell that only looks takes its time, and a run that is to be cut off later need not look again.
"""

import ast


def names(source):
    """Return the names that a cell binds, those that it uses, and those that its functions use.

    Args:
        source: The cell's code.
    """
    bound, used, later = set(), set(), set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
            case ast.FunctionDef(name=name):
                bound.add(name)
                later |= names("\n".join(map(ast.unparse, node.body)))[1]
    return bound, used, later


def needed(sources, changing, first):
    """Return the numbers of the cells without which those from one on would not be the same.

    Args:
        sources: The code of all cells.
        changing: The numbers of those before it that changed something outside of the kernel.
        first: The number of the first one that is needed whatever it does.
    """
    known = [names(source) for source in sources]
    # When a function is called, it takes what has its name by then.
    always = set().union(*(later for _, _, later in known))
    wanted, found = set(), []
    for number in reversed(range(len(sources))):
        bound, used, _ = known[number]
        if number >= first or number in changing or bound & (wanted | always):
            found.append(number)
            wanted = (wanted - bound) | used
    return found[::-1]
