"""adaptation_table.py: one line a run, from a log that holds more than the record."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adaptation_table.py")
POLICIES = ["static linear", "static gem", "periodic eplb", "periodic gem", "triggered gem", "oracle"]


def log_of(recovered, reaction):
    """What gem-adapt --json prints, with the rest around it."""
    policies = [
        {
            "policy": policy,
            "relative": 1 - i / 100,
            "relative_low": 0.9,
            "relative_high": 0.95,
            "p99_s": 0.004,
            "moved_experts": i,
            "recovered": recovered,
            "reaction_steps": reaction,
        }
        for i, policy in enumerate(POLICIES)
    ]
    return f"Run: a {{model}}\n{json.dumps({'policies': policies})}\n\npolicy  total\n"


class AdaptationTable(unittest.TestCase):
    """Run as the script runs it."""

    def test_a_line_a_run(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, log in (("moved", log_of(0.846, 56)), ("still", log_of(None, None))):
                with open(os.path.join(folder, f"{name}.txt"), "w", encoding="utf-8") as file:
                    file.write(log)
            run = [sys.executable, TABLE, folder, "moved", "still", "missing"]
            lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.assertIn("| 85 % | 0.9000 to 0.9500 | 4.00, 4.00 | 4, 2 | 56 |", lines[2])
        self.assertTrue(lines[3].endswith("| - | 0.9000 to 0.9500 | 4.00, 4.00 | 4, 2 | - |"), lines[3])


if __name__ == "__main__":
    unittest.main()
