"""docs/cli.md tells of every command and every option, and of none that is not there."""

import re
from pathlib import Path

from cli.__main__ import build_parser, leaves

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
# Told of once, for all commands.
EVERYWHERE = {"--help", "--version", "--url", "--key", "--output", "--json"}

SECTIONS = {
    section.partition("\n")[0]: " ".join(section.split()) for section in PAGE.split("\n## ")[1:]
}
COMMANDS = {
    words: {option for action in leaf._actions for option in action.option_strings}
    for words, leaf in leaves(build_parser())
}


def test_every_command_and_option_is_told_of_in_its_section() -> None:
    texts = [
        (words[0], text)
        for words, options in COMMANDS.items()
        for text in (f"meterline {' '.join(words)}", *sorted(options - EVERYWHERE))
        if text.startswith(("meterline", "--"))
    ]
    missing = [
        f"{section}: {text}"
        for section, text in texts
        if not re.search(rf"{re.escape(text)}(?![\w-])", SECTIONS.get(section, ""))
    ]
    assert missing == []


def test_nothing_else_is_told_of() -> None:
    known = EVERYWHERE.union(*COMMANDS.values())
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known
    assert SECTIONS.keys() - {"Everywhere"} <= {words[0] for words in COMMANDS}
    assert EVERYWHERE - {"--help"} <= set(re.findall(r"--[a-z-]+", SECTIONS["Everywhere"]))
