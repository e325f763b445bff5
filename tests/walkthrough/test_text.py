"""The text as text: the two languages say the same commands, links lead somewhere, pictures are whole, prices have a date."""
import collections
import pathlib
import re
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from chapters import BOOK, LANGUAGES, ROOT, split

HEADING = re.compile(r"^(#{1,6}) (.+)$")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)")
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
PRICE = re.compile(r"(?<![\\$\w])\\?\$ ?\d")
DATED = re.compile(r"(January|February|March|April|May|June|July|August|September|October|November|December) 20\d\d|20\d\d년 ?\d{1,2}월|20\d\d-\d\d")


def files(language):
    return {path.name: path for path in sorted((BOOK / language).glob("*.md"))}


def prose(path):
    """The text without blocks, and without code within lines."""
    return [re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda code: "\0" * len(code[0]), line) for line in split(path)[1]]


def headings(path):
    return [(len(found[1]), found[2].strip()) for found in map(HEADING.match, split(path)[1]) if found]


def links(path):
    """[(is a picture, target)]"""
    return [(bool(mark), target) for mark, _, target in LINK.findall("\n".join(prose(path)))]


def anchors(path):
    return ANCHOR.findall("\n".join(prose(path)))


def slug(heading):
    """As GitHub and mdBook make it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", ANCHOR.sub("", heading))
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def quoted(language):
    """What stands in «», by the file in which it does."""
    return [(path.name, text) for path in files(language).values() for text in re.findall("«([^«»]+)»", path.read_text())]


# What both languages quote of others than the application: AWS, Gmail, programs and their messages.
OTHERS = {
    "535 Authentication Credentials Invalid", "554 Message rejected: Email address is not verified", "CachingOptimized", "EC2-Other",
    "Handshake inactivity timeout", "IP address could not be resolved", "Last 1 hour", "Missing required arguments: aws_access_key_id",
    "Non-2xx responses", "SecurityHeadersPolicy", 'The "libcurl" package isn\'t available', "Unable to fetch credentials",
    "Unable to fetch credentials: 401", "aws s3 rm", "conflicting types for canonicalize", "mysql client is missing",
}


def other(target):
    """The same link in the other language."""
    return target.replace("../ko/", "../LANGUAGE/").replace("../en/", "../LANGUAGE/")


class Text(unittest.TestCase):
    maxDiff = None

    def pairs(self):
        """[(name, English, Korean)] of the files that are there in both."""
        return [(name, english, files("ko")[name]) for name, english in files("en").items() if name in files("ko")]

    def test_both_languages_have_the_same_files(self):
        self.assertEqual(sorted(files("en")), sorted(files("ko")))

    def test_blocks_are_the_same_byte_for_byte(self):
        for name, english, korean in self.pairs():
            with self.subTest(file=name):
                first, second = ([(block.info, block.text, block.not_run) for block in split(path)[0]] for path in (english, korean))
                for number, (one, two) in enumerate(zip(first, second), 1):
                    self.assertEqual(one, two, f"block {number}")
                self.assertEqual(len(first), len(second))

    def test_headings_links_pictures_and_anchors_are_the_same(self):
        for name, english, korean in self.pairs():
            with self.subTest(file=name):
                self.assertEqual([level for level, _ in headings(english)], [level for level, _ in headings(korean)], "levels of headings")
                one, two = (collections.Counter(other(target) for _, target in links(path)) for path in (english, korean))
                self.assertEqual((one - two, two - one), ({}, {}), "links in English only, in Korean only")
                self.assertEqual([target for picture, target in links(english) if picture], [target for picture, target in links(korean) if picture], "pictures")
                self.assertEqual(anchors(english), anchors(korean), "anchors")

    def test_korean_is_korean(self):
        for name, english, korean in self.pairs():
            with self.subTest(file=name):
                for path, wanted in ((english, False), (korean, True)):
                    found = re.findall("[가-힣]", "".join(prose(path)))
                    self.assertEqual(len(found) > 100, wanted, f"{path}: {len(found)} Korean characters") if name not in ("glossary.md", "README.md") else None
                for level, heading in headings(korean):
                    self.assertRegex(heading, "[가-힣]|^[A-Z0-9]", heading)

    def test_links_and_anchors_lead_somewhere(self):
        known = {}
        for language in LANGUAGES:
            for path in files(language).values():
                automatic = {slug(heading) for _, heading in headings(path)} if language == "en" else set()
                known[path] = set(anchors(path)), automatic
        wrong = []
        for language in LANGUAGES:
            for path in files(language).values():
                for _, target in links(path):
                    if target.startswith(("http://", "https://")):
                        if target.startswith("http://") and "localhost" not in target:
                            wrong.append(f"{path.relative_to(ROOT)}: {target}: not https")
                        continue
                    file, _, anchor = target.partition("#")
                    there = (path.parent / file).resolve() if file else path
                    if not there.exists():
                        wrong.append(f"{path.relative_to(ROOT)}: {target}: no such file")
                    elif anchor and there.suffix == ".md" and there in known and anchor not in known[there][0]:
                        hint = ' (headings have other names in Korean: put <a id="..."></a> before it)' if anchor in known[there][1] else ""
                        wrong.append(f"{path.relative_to(ROOT)}: {target}: no such anchor{hint}")
        self.assertEqual(wrong, [])

    def test_anchors_are_unique(self):
        for language in LANGUAGES:
            for path in files(language).values():
                twice = [anchor for anchor, times in collections.Counter(anchors(path)).items() if times > 1]
                self.assertEqual(twice, [], path)

    def test_pictures_are_small_and_whole(self):
        shown = {(path.parent / target).resolve() for language in LANGUAGES for path in files(language).values() for picture, target in links(path) if picture}
        for path in sorted((BOOK / "pictures").glob("*.svg")):
            with self.subTest(picture=path.name):
                text = path.read_text()
                root = xml.etree.ElementTree.fromstring(text)
                space = "{http://www.w3.org/2000/svg}"
                self.assertTrue((root.findtext(f"{space}title") or "").strip(), "title")
                self.assertTrue((root.findtext(f"{space}desc") or "").strip(), "desc")
                self.assertIn("prefers-color-scheme: dark", text)
                self.assertIsNone(re.search(r"<script|https?://(?!www\.w3\.org/2000/svg)|@import|<image", text), "nothing from elsewhere")
                self.assertLess(len(text), 30_000)
                self.assertIn(path.resolve(), shown, "no chapter shows it")

    def test_names_of_the_application_stand_in_it(self):
        row = re.compile(r"^\| «(.+?)» \| [^|]+ \| \[(.+?)\]\(", re.M)
        named = dict(row.findall((BOOK / "en/glossary.md").read_text()))
        self.assertEqual(named, dict(row.findall((BOOK / "ko/glossary.md").read_text())))
        for name, file in named.items():
            with self.subTest(name=name):
                self.assertIn(name, (ROOT / file).read_text())
                for language in LANGUAGES:
                    self.assertIn(name, [text for chapter, text in quoted(language) if chapter != "glossary.md"], language)
        both = {text for _, text in quoted("en")} & {text for _, text in quoted("ko")}
        self.assertEqual(both - OTHERS, set(named), "quoted in both languages: is it in the glossary's names?")
        self.assertEqual(OTHERS - both, set(), "no longer quoted")

    def test_prices_have_a_date(self):
        for language in LANGUAGES:
            for path in files(language).values():
                lines = prose(path)
                if PRICE.search("\n".join(lines)):
                    self.assertRegex("\n".join(lines), DATED, f"{path.relative_to(ROOT)}: prices without a date")
                costs = [number for number, (level, text) in enumerate(headings(files("en")[path.name])) if text == "What it costs from now on"] if path.name in files("en") else []
                if costs:
                    starts = [number for number, line in enumerate(lines) if HEADING.match(line)]
                    start = starts[costs[0]]
                    end = next((number for number in starts if number > start), len(lines))
                    self.assertRegex("\n".join(lines[start:end]), DATED, f"{path.relative_to(ROOT)}:{start + 1}: prices without a date")

    def test_blocks_can_be_typed(self):
        for path in files("en").values():
            for block in split(path)[0]:
                if not block.is_shell:
                    continue
                with self.subTest(block=str(block)):
                    self.assertIsNone(re.search(r"(?m)^\s*#(?!!)", re.sub(r"(?s)<<-? ?'?(\w+)'?\n.*?^\1$", "", block.text, flags=re.M)), "a comment: zsh would run it")
                    self.assertIsNone(re.search(r"\bsleep ([2-9]|\d\d)", block.text), "a long sleep")
                    self.assertIsNone(re.search(r"AKIA[0-9A-Z]{16}", block.text), "an access key")
                    self.assertLess(max(map(len, block.text.split("\n"))), 300, "a long line")

    def test_marked_blocks_are_few(self):
        blocks = [block for path in files("en").values() for block in split(path)[0] if block.is_shell]
        marked = [block for block in blocks if block.not_run]
        self.assertLessEqual(len(marked) * 10, len(blocks), "\n".join(f"{block}: {block.not_run}" for block in marked))


if __name__ == "__main__":
    unittest.main()
