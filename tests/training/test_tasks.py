"""The table of tasks in training."""

from kerasfound.bundle import Task
from kerasfound.training.tasks import TASKS


def test_every_task_is_in_the_table():
    assert list(TASKS) == list(Task)
