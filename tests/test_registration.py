"""`import kerasfound` is enough for Keras to load a model with our blocks, whatever is imported first."""

import os
import subprocess
import sys

import pytest

PRINT_REGISTERED = (
    "import keras; registered = keras.saving.get_custom_objects();"
    "print({'kerasfound>Dense', 'kerasfound>Adam', 'kerasfound>relu', 'kerasfound>OneCycle'} <= registered.keys())"
)


@pytest.mark.parametrize(
    "imports",
    [
        "import kerasfound, sys; assert 'keras' not in sys.modules",
        "import kerasfound, importlib.util; importlib.util.find_spec('keras')",
        "import keras, kerasfound",
        "from kerasfound.layers.dense import Dense",
        "import kerasfound.training.fit",
    ],
)
def test_keras_knows_every_block_after(imports):
    finished = subprocess.run(
        [sys.executable, "-c", f"{imports}\n{PRINT_REGISTERED}"],
        env=os.environ | {"KERAS_BACKEND": "numpy"},  # the fastest to import
        capture_output=True,
        text=True,
    )
    assert finished.stdout.strip() == "True", finished.stderr
