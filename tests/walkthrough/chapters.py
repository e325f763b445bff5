"""Chapters as lists of blocks."""
import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BOOK = ROOT / "docs/walkthrough"
LANGUAGES = ("en", "ko")
FENCE = re.compile(r"^(`{3,})(.*)$")
TAKE_AWAY = "Take only this away"
NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")


@dataclasses.dataclass
class Block:
    file: str
    line: int  # of the fence
    info: str
    text: str
    not_run: str = ""
    expected: str | None = None  # the text block directly after
    section: str = ""  # the heading of level 2 above

    @property
    def words(self):
        return self.info.split()

    @property
    def is_shell(self):
        return self.words[:1] == ["sh"]

    @property
    def fails(self):
        return "fails" in self.words

    @property
    def takes_away(self):
        """Removes what the chapter made, so it is not typed on the way to the next one."""
        return self.section == TAKE_AWAY

    @property
    def where(self):
        """The instance on which it is typed, local, or server: a second terminal, in which it runs on."""
        return next((word for word in self.words[1:] if word != "fails"), "local")

    def __str__(self):
        return f"{self.file}:{self.line}"


def split(path):
    """Blocks of a file, and its lines with those of blocks emptied. Indented blocks belong to lists and are read too."""
    lines, blocks, prose = path.read_text().split("\n"), [], []
    number = directly = 0
    while number < len(lines):
        line = lines[number]
        opened = FENCE.match(line.strip())
        if not opened:
            prose.append(line)
            number += 1
            continue
        indent, start = line[:len(line) - len(line.lstrip())], number
        number += 1
        body = []
        while number < len(lines) and lines[number].strip() != opened[1]:
            body.append(lines[number].removeprefix(indent))
            number += 1
        if number == len(lines):
            raise ValueError(f"{path}:{start + 1}: this block does not end")
        number += 1
        marked = NOT_RUN.match(prose[start - 1].strip()) if start else None
        blocks.append(Block(str(path.relative_to(ROOT)), start + 1, opened[2].strip(), "\n".join(body) + "\n", marked[1] if marked else ""))
        blocks[-1].section = next((text[3:].strip() for text in reversed(prose) if text.startswith("## ")), "")
        if blocks[-1].info == "text" and len(blocks) > 1 and blocks[-2].is_shell and not any(text.strip() for text in prose[directly:]):
            blocks[-2].expected = blocks[-1].text
        prose += [""] * (number - start)
        directly = len(prose)
    return blocks, prose


def numbered(language="en"):
    """{"03": path} of the chapters that are there."""
    return {path.name[:2]: path for path in sorted((BOOK / language).glob("[0-9][0-9]-*.md"))}


def matches(expected, output):
    """Whether the output is as the text says: ... alone on a line stands for any lines, within a line for any characters."""
    pattern = ""
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ \t]*\n"
    return re.fullmatch(pattern, output.rstrip("\n") + "\n" if output.strip() else "\n") is not None


def tell_marked():
    """Lists the blocks that are not run, and their share."""
    blocks = [block for path in sorted((BOOK / "en").glob("*.md")) for block in split(path)[0] if block.is_shell]
    marked = [block for block in blocks if block.not_run]
    if marked:
        print("\nNot run, since only a real account, a browser or a person can:")
    for block in marked:
        print(f"  {block}: {block.not_run}")
    print(f"{len(marked)} of {len(blocks)} blocks, {100 * len(marked) / max(len(blocks), 1):.0f} %")


if __name__ == "__main__":
    tell_marked()
