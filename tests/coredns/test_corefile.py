"""The reader of Corefiles; the real CoreDNS says what is right."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.corefile import CorefileError, address, read_corefile
from eksnet.errors import EksnetError

# What the parser itself says, before any plugin has seen its lines.
PARSER = re.compile(
    r"Syntax error: |Error during parsing: (?:Unexpected EOF|Unexpected '}' because"
    r"|Expected another address|redeclaration of|maximum snippet import|Import |Glob pattern"
    r"|Wrong argument count or unexpected line ending after 'import'|Failed to use import)"
)
MAIN = ".:0 {\n    bind 127.0.0.1\n    reload\n}\n"


def with_lines(lines):
    return MAIN.replace("reload", f"{lines}\n    reload")


TAKEN = {
    "a snippet": "(s) {\n  log a.test\n  errors\n}\n" + with_lines("import s"),
    "a snippet in a snippet": (
        "(a) {\n errors\n}\n(b) {\n import a\n log\n}\n" + with_lines("import b")
    ),
    "a snippet in a plugin's block": (
        "(s) {\n 10.0.0.1 a.test\n}\n" + with_lines("hosts {\n import s\n fallthrough\n}")
    ),
    "a snippet twice": "(s) {\n log a.test\n}\n" + with_lines("import s\nimport s"),
    "an empty snippet": "(s) {\n}\n" + with_lines("import s"),
    "a snippet with a server block": f"(s) {{\n{MAIN}}}\nimport s\n",
    "a snippet that nobody imports": "(s) {\n nonsense { }\n import\n}\n" + MAIN,
    "a snippet's name of two words": '("a b") {\n errors\n}\n' + MAIN,
    "a key that looks like two snippets": MAIN + "(s):0 (t):0 {\n bind 127.0.0.1\n}\n",
    "import as an argument": with_lines("log import"),
    "a quoted import": "(s) {\n errors\n}\n" + with_lines('"import" s'),
    "a quoted brace": MAIN.replace("{", '"{"').replace("}", '"}"'),
    "a word and a quotation mark": with_lines('log a"b c"d'),
    "an empty word": with_lines('log ""').replace(".:0", '.:0 ""'),
    "backslashes": with_lines('log "a\\\\" b\\c "d\\"e"'),
    "a carriage return in a word": with_lines("log a\rb"),
    "a quotation mark at the end": MAIN + '"',
    "white space that Python does not know": with_lines("log\x85a\xa0b\x1fc"),
}
REFUSED = {
    "an open server block": (".:0 {\n  reload\n", "the server block .:0 is not closed", 1),
    "an open block": (
        ".:53 {\n  hosts {\n  reload\n", "the block of hosts in line 2 is not closed", 2,
    ),
    "a brace that none opened": (
        ".:53 {\n  hosts }\n}\n",
        "line 2 of the Corefile has a closing brace without an opening one", 2,
    ),
    "a comma after the last key": (
        ".:0, {\n reload\n}\n", "line 1 of the Corefile has a comma after the last key", 1,
    ),
    "nothing after a comma": (MAIN + "a,", "line 5 of the Corefile ends after a comma", 5),
    "a snippet twice": (
        "(s) {\n}\n(s) {\n}\n" + MAIN, "line 3 of the Corefile defines the snippet s again", 3,
    ),
    "a snippet without braces": (
        "(s)\nerrors\n", "line 2 of the Corefile begins the snippet s without a brace", 2,
    ),
    "an open snippet": ("(s) {\n errors\n" + MAIN, "the snippet s is not closed", 1),
    "a snippet in itself, by another": (
        "(a) {\n import b\n}\n(b) {\n import a\n}\n.:0 {\n import a\n}\n",
        "line 5 of the Corefile imports the snippet a into itself", 5,
    ),
    "import of nothing": (
        ".:0 {\n import\n reload\n}\n", "line 2 of the Corefile imports nothing", 2,
    ),
    "arguments for a snippet": (
        "(s) {\n log {args[0]}\n}\n.:0 {\n import s a.test\n}\n",
        "line 5 of the Corefile has more than one word after `import`: a.test", 5,
    ),
    "two wildcards": (
        ".:0 {\n import a*/b*\n}\n", "line 2 of the Corefile imports a*/b*", 2,
    ),
    "an open class": (".:0 {\n import a[\n}\n", "line 2 of the Corefile imports a[", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_coredns_takes_is_read_as_it_reads_it(name, ask_coredns):
    said = ask_coredns(TAKEN[name])
    assert said.started, said.log
    assert said.hash == configuration_hash(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_coredns_refuses_is_refused_with_the_line(name, ask_coredns):
    corefile, seen, line = REFUSED[name]
    with pytest.raises(CorefileError) as refused:
        read_corefile(corefile)
    assert (refused.value.seen, refused.value.line) == (seen, line)
    said = ask_coredns(corefile)
    assert not said.started
    assert PARSER.search(said.log), said.log


def test_a_file_that_is_not_there_is_an_empty_one_where_it_has_a_wildcard(ask_coredns):
    corefile = (
        MAIN.replace("reload", "import custom/*.override\n    reload") + "import c/*.server\n"
    )
    tree = read_corefile(corefile)
    assert [(one.pattern, one.line) for one in tree.imports] == [
        ("custom/*.override", 3), ("c/*.server", 6),
    ]  # fmt: skip
    assert [one.pattern for one in tree.blocks[0].imports] == ["custom/*.override"]
    assert tree.blocks[0].names == ("bind", "reload")
    assert ask_coredns(corefile).started
    with pytest.raises(
        EksnetError, match=r"imports custom/\*\.override, c/\*\.server, which"
    ) as told:
        configuration_hash(corefile)
    assert not isinstance(told.value, CorefileError)


VARIABLES = {
    "PORT": "0", "NAME": "a.test", "PLUGIN": "log", "SNIPPET": "s", "BRACE": "{", "TWO": "{$NAME}x",
    "LINES": "a\nb",
}  # fmt: skip


@pytest.mark.parametrize(
    "corefile",
    [
        MAIN.replace(":0", ":{$PORT}"),
        MAIN.replace(":0", ":{%PORT%}"),
        MAIN.replace("reload", "log {$NAME} {$NOBODY}\n    reload"),
        MAIN.replace("reload", "log x{$NAME}{%NAME%}y\n    reload"),
        MAIN.replace("reload", "{$PLUGIN} a.test\n    reload"),
        MAIN.replace("reload", "log {$TWO}\n    reload"),
        MAIN.replace("reload", "log {$} {%%} {$NAME\n    reload"),
        MAIN.replace("reload", "log {$LINES} {$NAME}\n    reload"),
        "(s) {\n log {$NAME}\n}\n" + MAIN.replace("reload", "import {$SNIPPET}\n    reload"),
    ],
)
def test_variables_have_their_values(corefile, ask_coredns):
    said = ask_coredns(corefile, VARIABLES)
    assert said.started, said.log
    assert said.hash == configuration_hash(corefile, VARIABLES)
    # Who does not know them is told which they are.
    tree = read_corefile(corefile)
    assert set(tree.variables) <= {*VARIABLES, "NOBODY"}
    if tree.variables:
        with pytest.raises(EksnetError, match=r"uses the variable|imports \{.SNIPPET\}"):
            configuration_hash(corefile)


def test_each_word_knows_where_it_stands():
    text = '\ufeff.:53 { # a\n\tlog "a\nb"  c\n}\n'
    (block,) = read_corefile(text).blocks
    places = [(one.text, one.line, one.column) for one in block.plugins[0].tokens]
    assert places == [("log", 2, 2), ("a\nb", 2, 6), ("c", 3, 5)]
    assert (block.key_tokens[0].line, block.key_tokens[0].column) == (1, 1)
    assert [text[one.start : one.end] for one in block.plugins[0].tokens] == ["log", '"a\nb"', "c"]
    assert text[slice(*block.plugins[0].extent)] == 'log "a\nb"  c'
    assert (block.opening.text, block.closing.line) == ("{", 4)


def test_a_word_from_a_snippet_knows_its_way():
    tree = read_corefile("(a) {\n errors\n}\n(b) {\n import a\n}\n.:53 {\n import b\n}\n")
    (errors,) = tree.blocks[0].plugins
    assert (errors.line, errors.snippet) == (2, "b")
    assert [(one.pattern, one.line) for one in errors.tokens[0].via] == [("b", 8), ("a", 5)]
    assert tree.text[slice(*errors.extent)] == "import b"
    assert list(tree.snippets) == ["a", "b"]


def test_the_lines_of_a_plugin_are_those_that_it_sees():
    (block,) = read_corefile(
        "b:53 c:53 {\n hosts { 10.0.0.1 b\n  10.0.0.2 c\n }\n hosts x\n}"
    ).blocks
    assert block.keys == ("b:53", "c:53")
    assert [one.lines for one in block.uses("hosts")] == [
        (("hosts",), ("10.0.0.1", "b"), ("10.0.0.2", "c")), (("hosts", "x"),),
    ]  # fmt: skip
    assert block.lines("cache") == ()


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (".", ("dns", ".", "53")),
        ("Example.org.:1053", ("dns", "example.org.", "1053")),
        ("tls://a", ("tls", "a.", "853")),
        ("https://a", ("https", "a.", "443")),
        ("10.0.0.0/24", ("dns", "10.0.0.0/24.", "53")),
    ],
)
def test_what_a_key_leaves_out(key, found):
    assert address(key) == found


WORDS = st.sampled_from(
    [
        "log", "errors", "import s", "import t", "log a.test", 'log "a b"', 'log "a\nb" c',
        "log a#b c", "chaos {$X} \u2028y", "import c/*.d", "import", "bufsize 512", "}", "{",
        '"log"', "log a,", "bind 127.0.0.1",
    ]
)  # fmt: skip
ENDS = st.sampled_from(
    ["\n", "\n", "\n", "\r\n", " ", " # c\n", " {\n}\n", "\n{\n}\n", " {\n", "\n}\n"]
)
BODIES = st.lists(st.tuples(WORDS, ENDS).map("".join), max_size=5).map("".join)
KEYS = st.sampled_from(
    ["(s)", "(t)", ".:0", "a.test:0", "a.test:0,\n.:0", "a:0 b:0", '".:0"', "import s\n"]
)
OPENINGS = st.sampled_from([" {\n", " {\n", " {\n", "\n{\n", "\n", " { "])
CLOSINGS = st.sampled_from(["}\n", "}\n", "}\n", "", "} # c\n"])
BLOCKS = st.tuples(KEYS, OPENINGS, BODIES, CLOSINGS).map("".join)
COREFILES = st.tuples(
    st.sampled_from(["", "", "\ufeff", "# c\n"]), st.lists(BLOCKS, max_size=3).map("".join),
    st.sampled_from([MAIN, MAIN, MAIN, ""]),
).map("".join)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(COREFILES)
def test_coredns_and_the_reader_agree_on_whatever_is_written(ask_coredns, corefile):
    said = ask_coredns(corefile, {"X": "a b"})
    try:
        ours = configuration_hash(corefile, {"X": "a b"})
    except CorefileError as error:
        assert not said.started, error.seen
    except EksnetError:
        # A file with a wildcard, of which there is none here.
        assert not PARSER.search(said.log), said.log
    else:
        assert not PARSER.search(said.log), said.log
        assert said.hash in (ours, ""), said.log


@given(st.text(alphabet='.:53 {}\n\t"\\#ab\r,$%()import<é\ufeff\u2028'))
def test_any_text_is_read_or_refused(text):
    try:
        tree = read_corefile(text)
    except CorefileError as error:
        assert error.seen
        return
    tokens = [token for block in tree.blocks for one in block.plugins for token in one.tokens]
    for token in tokens:
        written = text[token.start : token.end]
        assert text.count("\n", 0, token.start) == token.line - 1
        assert written.replace("\r", "") == token.text or written.startswith('"')
