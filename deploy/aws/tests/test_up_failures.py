"""What up and down say when something fails on the way, and what the next run does."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import REGION, StackTest


class Failures(StackTest):
    def test_1_a_layer_that_fails_says_what_failed_first_and_how_to_go_on(self):
        fail = self.folder / "placeholders.fail"
        fail.write_text("DatabaseOptions")
        said = self.up("--release", self.program, code=1)
        self.assertIn("sample-app-data could not be created. The first thing that failed: DatabaseOptions", said)
        self.assertIn("You have reached your quota of this", said)
        self.assertIn(f"deploy/aws/down --name sample-app --region {REGION}", said)
        self.assertEqual(self.stacks()["data"]["StackStatus"], "ROLLBACK_COMPLETE")
        fail.unlink()

    def test_2_the_next_run_takes_it_away_and_goes_on(self):
        self.plan_faults({"match": "describe-stack-events.*sample-app-dns", "delay": 20})
        code, said = self.interrupt("up", "--yes", "--region", REGION, "--release", self.program,
                                    when=lambda: self.calls("describe-stack-events", "sample-app-dns"))
        self.assertIn("sample-app-data was left half made (ROLLBACK_COMPLETE), so it is taken away first", said)
        self.assertEqual(code, 130, said)
        self.assertIn("sample-app-dns goes on being made in AWS", said)

    def test_3_after_an_interruption_the_next_run_goes_on(self):
        said = self.up("--release", self.program)
        self.assertIn("network: unchanged", said)
        self.assertEqual({line.split("--stack-name sample-app-")[1].split()[0] for line in self.calls("create-stack")}, {"app", "watch"})

    def test_4_a_missing_right_is_named(self):
        self.plan_faults({"match": "delete-stack.*sample-app-app", "say": "An error occurred (AccessDenied) when calling DeleteStack"})
        self.assertIn("deleting sample-app-app: a right is missing", self.down(code=1))

    def test_5_what_is_left_is_listed(self):
        self.client("sns").create_topic(Name="forgotten", Tags=[{"Key": "project", "Value": "sample-app"}])
        said = self.down(code=1)
        self.assertIn("This is left", said)
        self.assertRegex(said, r"arn:aws:sns:ap-northeast-1:\d+:forgotten")


if __name__ == "__main__":
    unittest.main()
