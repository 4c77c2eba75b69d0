"""The table of tasks in export."""

from kerasfound.bundle import Task
from kerasfound.export.tasks import TASKS, task_name


def test_the_table_has_every_task_and_models_without_a_run():
    assert list(TASKS) == [*Task, task_name(None, ["a", "b"]), task_name(None, [])]
