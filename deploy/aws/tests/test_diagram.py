"""docs/aws.svg is what the templates say, and changes when they do."""
import copy
import importlib.machinery
import importlib.util
import pathlib
import re
import sys
import unittest
import xml.etree.ElementTree

FOLDER = pathlib.Path(__file__).parents[1] / "diagram"
sys.dont_write_bytecode = True
sys.path.insert(0, str(FOLDER))
loader = importlib.machinery.SourceFileLoader("draw", str(FOLDER / "draw"))
draw = importlib.util.module_from_spec(importlib.util.spec_from_loader("draw", loader))
loader.exec_module(draw)

TEMPLATES = draw.load()
SVG = "{http://www.w3.org/2000/svg}"


class DiagramTest(unittest.TestCase):
    def setUp(self):
        self.templates = copy.deepcopy(TEMPLATES)

    def svg(self):
        return draw.Diagram(self.templates).svg()

    def test_the_picture_is_what_the_templates_say(self):
        self.assertEqual(draw.TARGET.read_text(), self.svg(), "run deploy/aws/diagram/draw")

    def test_it_has_a_title_and_colors_for_light_and_dark(self):
        root = xml.etree.ElementTree.fromstring(self.svg())
        self.assertEqual(root.find(f"{SVG}title").text, "Sample App on AWS")
        style = root.find(f"{SVG}style").text
        light, dark = re.search(r"(?s)svg \{(.*?)\}.*prefers-color-scheme: dark.*?svg \{(.*?)\}", style).groups()
        names = [set(re.findall(r"--[a-z]+(?=:)", colors)) for colors in (light, dark)]
        self.assertEqual(*names)
        self.assertEqual(names[0], set(re.findall(r"(?<=var\()--[a-z]+", style)))
        # All colors come from the style.
        self.assertNotRegex(re.sub(r"(?s)<style>.*</style>", "", self.svg()), r"#[0-9a-f]{3,6}\b|(fill|stroke)=")

    def test_boxes_do_not_overlap(self):
        diagram = draw.Diagram(self.templates)
        places = [diagram.place(title) for title in draw.BOXES]
        for number, (x, y, width, height) in enumerate(places):
            for left, top, wide, high in places[:number]:
                self.assertTrue(x >= left + wide or left >= x + width or y >= top + high or top >= y + height)

    def test_a_resource_of_a_new_type_is_noticed(self):
        self.templates["watch"]["Resources"]["New"] = {"Type": "AWS::SQS::Queue", "Properties": {}}
        with self.assertRaisesRegex(SystemExit, r"watch\.New \(AWS::SQS::Queue\)"):
            self.svg()

    def test_a_second_resource_of_a_type_that_is_drawn_by_name_is_noticed(self):
        self.templates["data"]["Resources"]["Third"] = copy.deepcopy(self.templates["data"]["Resources"]["Pictures"])
        with self.assertRaisesRegex(SystemExit, "data.Third"):
            self.svg()

    def test_a_changed_port_changes_the_picture(self):
        before = self.svg()
        self.templates["logs"]["Resources"]["LogstashFromApp"]["Properties"]["FromPort"] = 5045
        self.assertNotEqual(self.svg(), before)
        self.assertIn(">5045<", self.svg())

    def test_a_rule_for_a_group_that_is_nowhere_is_noticed(self):
        self.templates["logs"]["Resources"]["LogstashFromApp"]["Properties"]["SourceSecurityGroupId"] = {"Ref": "Elsewhere"}
        with self.assertRaisesRegex(SystemExit, "logs.LogstashFromApp"):
            self.svg()

    def test_a_link_that_is_gone_is_noticed(self):
        del self.templates["alerts"]["Resources"]["SlackSubscription"], self.templates["alerts"]["Resources"]["SlackPermission"]
        with self.assertRaisesRegex(SystemExit, "Alarm topic"):
            self.svg()

    def test_what_becomes_optional_is_dashed(self):
        [before] = re.findall(r'<rect class="([a-z ]+)"[^>]*/><text class="title"[^>]*>Database<', self.svg())
        self.templates["data"]["Resources"]["Database"]["Condition"] = "HasReplica"
        [after] = re.findall(r'<rect class="([a-z ]+)"[^>]*/><text class="title"[^>]*>Database<', self.svg())
        self.assertEqual((before, after), ("box", "box optional"))

    def test_who_reaches_whom(self):
        rules = {(start, end): ports for start, end, ports, _ in draw.Diagram(self.templates).rules()}
        self.assertEqual(rules, {
            ("Visitors", "Load balancer"): "80, 443", ("Load balancer", "Instances"): "3000", ("Instances", "Database"): "3306",
            ("Instances", "Cache"): "6379", ("Bastion", "Instances"): "22", ("Instances", "Logstash"): "5044", ("Logstash", "OpenSearch"): "443",
        })


if __name__ == "__main__":
    unittest.main()
