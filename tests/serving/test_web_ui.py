"""The web page in a real browser: forms, outputs, errors, code examples, keyboard, phone, no external requests."""

import hashlib
import json
import math
import re
import shutil
import subprocess
import sys

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kerasfound.bundle import manifest
from kerasfound.bundle.manifest import Baseline, MetricsSource, NamedSignature, ProcessingStep, Tensor, TextGeneration
from kerasfound.preprocessing import train_tokenizer

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.xdist_group("page")  # one worker, so that browser and models are created once

SIDE = 12
HTML_TEXT = "<img src=x onerror=alert(1)>"
CARD = f"# paper\n\nA card with `code` and {HTML_TEXT}.\n\n- one\n- two\n\n| measure | |\n|---|---|\n| accuracy | 1 |\n"
SERVER_WITH_KEY = (
    "import sys; from kerasfound.serving import serve; serve(sys.argv[1], port=0, api_key_file=sys.argv[2])"
)

# --------------------------------------------------------------------------------------------------------------- models


def save_graph(path, nodes, inputs, outputs, constants):
    types = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "string": TensorProto.STRING}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(x.name, types[x.dtype], x.shape) for x in inputs],
        [helper.make_tensor_value_info(y.name, types[y.dtype], y.shape) for y in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def export(folder, name, graph, version=1, assets=None, step=None, **fields):
    """Writes a bundle with this graph; `assets` maps file names to texts, `step` is a second graph."""
    path = folder / name / str(version)
    (path / "assets").mkdir(parents=True)
    save_graph(path / "model.onnx", *graph)
    if step:
        save_graph(path / "step.onnx", *step)
    for file, text in (assets or {}).items():
        (path / file).write_text(text)
    files = {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }
    defaults = {
        "task": "tensors",
        "preprocessing": [],
        "postprocessing": [],
        "labels": [],
        "metrics": {},
        "measured_on": None,
    }
    fixed = {"verification": [], "versions": {}, "created": "2025-01-01T00:00:00Z", "schema_version": 1}
    manifest.write(
        manifest.Manifest(
            **fixed, name=name, version=version, inputs=graph[1], outputs=graph[2], files=files, **defaults | fields
        ),
        path / "manifest.json",
    )


def classify(output):
    return [ProcessingStep("classification", parameters={"output": output})]


def export_drawing(folder):
    """A classifier of drawings: spread over rows (tall) or over columns (wide)."""
    offsets = np.arange(SIDE) - (SIDE - 1) / 2
    spread = np.stack([np.repeat(offsets**2, SIDE), np.tile(offsets**2, SIDE)], axis=1) / 1000
    inputs = [Tensor("image", "float32", ["batch", SIDE, SIDE, 1])]
    outputs = [Tensor("probabilities", "float32", ["batch", 2])]
    nodes = [
        node("Flatten", "image", "flat"),
        node("MatMul", "flat spread", "logits"),
        node("Softmax", "logits", "probabilities"),
    ]
    sizes = {"height": SIDE, "width": SIDE, "channels": 1, "low": 0, "high": 255}
    export(
        folder,
        "drawing",
        (nodes, inputs, outputs, {"spread": spread.astype("float32")}),
        task="image_classification",
        preprocessing=[ProcessingStep("image", parameters=sizes)],
        postprocessing=classify("probabilities"),
        labels=["tall", "wide"],
        metrics={"accuracy": 0.98765, "cross_entropy": 0.0312},
        baseline=Baseline("always answering 'wide'", {"accuracy": 0.5}, "not better than one word"),
        measured_on=MetricsSource("lines", "test", 1234, "0" * 64),
        assets={"README.md": CARD},
    )


def export_review(folder):
    """A text classifier; a label, a metric and the card contain HTML."""
    tokenizer = train_tokenizer(np.array(["good good good bad bad film"]), vocabulary=5, length=10)
    table = np.zeros((5, 2), "float32")
    table[tokenizer.token_to_id("good")] = [-2, 2]
    table[tokenizer.token_to_id("bad")] = [2, -2]
    inputs = [Tensor("ids", "int32", ["batch", "time"])]
    outputs = [Tensor("probabilities", "float32", ["batch", 2])]
    nodes = [
        node("Gather", "table ids", "words"),
        node("ReduceSum", "words axis", "logits", keepdims=0),
        node("Softmax", "logits", "probabilities"),
    ]
    export(
        folder,
        "review",
        (nodes, inputs, outputs, {"table": table, "axis": [1]}),
        task="text_classification",
        preprocessing=[ProcessingStep("tokenizer", file="assets/tokenizer.json", parameters={"input": "ids"})],
        postprocessing=classify("probabilities"),
        labels=[HTML_TEXT, "positive"],
        metrics={HTML_TEXT: 1.0},
        assets={"assets/tokenizer.json": tokenizer.to_str(), "README.md": CARD},
    )


def export_wage(folder):
    """A regression on table rows: age plus 100 for cooks; missing values count as 0."""
    columns = [
        {"name": "Age/years", "kind": "number"},
        {"name": "row id", "kind": "ignored"},
        {"name": HTML_TEXT, "kind": "category", "categories": ["cook", 'poet\'s "friend"']},
        {"name": "Town", "kind": "category", "categories": [f"town {i}" for i in range(60)]},
    ]
    schema = {"task": "tabular_regression", "input": "row", "shape": [3], "labels": []}
    schema |= {"columns": columns, "target": "wage"}
    inputs = [
        Tensor("Age_years", "float32", ["batch"], nullable=True),
        Tensor("job", "string", ["batch"], nullable=True),
        Tensor("Town", "string", ["batch"], nullable=True),
    ]
    nodes = [
        node("IsNaN", "Age_years", "no_age"),
        node("Where", "no_age zero Age_years", "age"),
        node(
            "LabelEncoder",
            "job",
            "pay",
            domain="ai.onnx.ml",
            keys_strings=["cook"],
            values_floats=[100.0],
            default_float=0.0,
        ),
        node("Add", "age pay", "sum"),
        node("Unsqueeze", "sum axis", "number"),
    ]
    outputs = [Tensor("number", "float32", ["batch", 1])]
    export(
        folder,
        "wage",
        (nodes, inputs, outputs, {"zero": np.float32(0), "axis": [1]}),
        task="tabular_regression",
        preprocessing=[ProcessingStep("table_row", file="assets/schema.json", parameters={"inputs": "columns"})],
        postprocessing=[ProcessingStep("regression", parameters={"output": "number"})],
        assets={"assets/schema.json": json.dumps(schema)},
    )


def export_writer(folder):
    """A language model that repeats `ab<`."""
    table = 50 * np.eye(3, dtype="float32")[[1, 2, 0]]  # the alphabet is sorted: <, a, b
    ids, logits = Tensor("ids", "int32", ["batch", "time"]), Tensor("logits", "float32", ["batch", "time", 3])
    start, past = Tensor("start", "int32", ["batch"]), Tensor("past", "float32", ["batch", 1])
    present = Tensor("present", "float32", ["batch", 1])
    look = node("Gather", "table ids", "logits")
    steps = [look, node("Identity", "past", "present")]
    export(
        folder,
        "writer",
        ([look], [ids], [logits], {"table": table}),
        step=(steps, [ids, start, past], [logits, present], {"table": table}),
        task="text_generation",
        preprocessing=[ProcessingStep("characters", parameters={"input": "ids"})],
        postprocessing=classify("logits"),
        labels=["<", "a", "b"],
        extra_signatures=[NamedSignature("step", "onnx", [ids, start, past], [logits, present])],
        text_generation=TextGeneration("step.onnx", 16, "ids", "start", "logits", {"present": "past"}),
    )


def export_plain(folder, version=1):
    """A model without preprocessing, labels or metrics."""
    inputs, outputs = [Tensor("x", "float32", ["batch", 3])], [Tensor("y", "float32", ["batch", 3])]
    export(folder, "plain", ([node("Add", "x x", "y")], inputs, outputs, {}), version)


# --------------------------------------------------------------------------------------------------- server and browser


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for make in (export_drawing, export_review, export_wage, export_writer, export_plain):
        make(folder)
    export_plain(folder, version=2)
    return folder


@pytest.fixture(scope="module")
def url(models, start):
    process = start(models)
    yield process.stdout.readline().split(" at ")[-1].strip()
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("needs Chromium on the PATH")
    expect.set_options(timeout=20_000)
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, url):
    """`visit("review")`: the page at a model; the test fails on script errors, dialogs and external requests."""
    pages, problems = [], []

    def open_page(name="", address=url, **context):
        page = browser.new_page(**{"viewport": {"width": 1200, "height": 1000}} | context)
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: request.url.startswith((address, "data:")) or problems.append(request.url))
        page.on("console", lambda line: "Security Policy" in line.text and problems.append(line.text))
        page.goto(f"{address}/#/{name}")
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert problems == []


def draw_line(page, *points):
    """Draws a line on the board; the points are fractions of its sides."""
    board = page.get_by_role("application", name="Drawing")
    box = board.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def sent_image(request):
    return image_of(request.value)


def image_of(request):
    return np.array(request.post_data_json["instances"][0])


def sends_ground(brightness):
    """Whether a request has a drawing on this ground; one from before a click may still be on its way."""
    return lambda request: request.url.endswith(":predict") and image_of(request)[0, 0, 0] == brightness


def verdict(page):
    return page.locator(".verdict")


# ---------------------------------------------------------------------------------------------------------------- forms


def test_a_drawing_is_classified_while_it_is_drawn(open_page):
    page = open_page("drawing/1")
    expect(verdict(page)).to_have_text("")
    draw_line(page, (0.2, 0.1), (0.2, 0.6))
    expect(verdict(page)).to_have_text("tall")
    expect(page.locator(".bars li.best")).to_contain_text(re.compile(r"^tall[\d.]+%$"))
    expect(page.locator(".bars li")).to_have_count(2)
    draw_line(page, (0.2, 0.4), (0.9, 0.4))
    draw_line(page, (0.9, 0.4), (0.1, 0.4))
    expect(verdict(page)).to_have_text("wide")
    page.get_by_role("button", name="Clear").click()
    expect(verdict(page)).to_have_text("")
    expect(page.locator(".bars li")).to_have_count(0)


def test_the_drawing_is_scaled_and_centered_unless_switched_off(open_page):
    page = open_page("drawing/1")
    draw_line(page, (0.15, 0.15), (0.15, 0.4))
    expect(verdict(page)).to_have_text("tall")
    with page.expect_request(sends_ground(255)) as request:
        page.get_by_label("dark ink").check()
    dark = sent_image(request)
    with page.expect_request(sends_ground(0)) as request:
        page.get_by_label("dark ink").uncheck()
    image = sent_image(request)
    assert image.shape == (SIDE, SIDE, 1)
    np.testing.assert_array_equal(dark, 255 - image)
    rows, columns = np.nonzero(image[..., 0])
    assert rows.min() == 0
    assert rows.max() == SIDE - 1  # an image this small has no margin
    assert abs(columns.mean() - (SIDE - 1) / 2) <= 0.5
    with page.expect_request("**/*:predict") as request:
        page.get_by_label("Scale and center").uncheck()
    rows, columns = np.nonzero(sent_image(request)[..., 0] > 100)
    assert (rows.max(), columns.max()) <= (SIDE / 2, SIDE / 3)


def test_the_keyboard_draws(open_page):
    page = open_page("drawing/1")
    board = page.get_by_role("application", name="Drawing")
    board.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("Pen down", exact=True)).to_be_visible()
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    expect(verdict(page)).to_have_text("tall")
    page.keyboard.press("Space")
    expect(page.get_by_text("Pen up", exact=True)).to_be_visible()
    page.keyboard.press("Delete")
    expect(verdict(page)).to_have_text("")
    page.keyboard.press("ArrowLeft")
    expect(board).to_be_focused()
    expect(verdict(page)).to_have_text("")


def test_a_finger_draws_on_a_phone(open_page):
    page = open_page("drawing/1", viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    box = page.get_by_role("application", name="Drawing").bounding_box()
    finger = page.context.new_cdp_session(page)
    places = [
        {"x": box["x"] + box["width"] / 2, "y": box["y"] + share * box["height"]} for share in np.linspace(0.1, 0.9)
    ]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
    for place in places[1:]:
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(verdict(page)).to_have_text("tall")
    expect(verdict(page)).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0


def test_an_uploaded_image_is_shown_squeezed_as_the_model_sees_it(open_page, tmp_path):
    from PIL import Image

    file = tmp_path / "long.png"
    Image.new("L", (90, 30)).save(file)
    page = open_page("drawing/1")
    page.get_by_label("Or an image file").set_input_files(file)
    expect(page.get_by_alt_text("The uploaded image")).to_be_visible()
    box = page.get_by_alt_text("The uploaded image").bounding_box()
    assert box["width"] == box["height"]  # as the model's input


def test_an_image_file_is_uploaded_unchanged(open_page, tmp_path):
    from PIL import Image

    pixels = np.zeros((30, 30), "uint8")
    pixels[14:16] = 255
    file = tmp_path / "it's wide.png"
    Image.fromarray(pixels).save(file)
    page = open_page("drawing/1")
    page.get_by_label("Or an image file").set_input_files(file)
    expect(verdict(page)).to_have_text("wide")
    expect(page.get_by_alt_text("The uploaded image")).to_be_visible()
    (tmp_path / "text.png").write_bytes(b"no picture")
    page.get_by_label("Or an image file").set_input_files(tmp_path / "text.png")
    expect(page.get_by_role("alert").locator("visible=true")).to_contain_text("not an image")
    draw_line(page, (0.5, 0.1), (0.5, 0.9))
    expect(verdict(page)).to_have_text("tall")
    expect(page.get_by_role("alert").locator("visible=true")).to_have_count(0)


def test_a_text_is_classified_while_it_is_typed(open_page):
    page = open_page("review/1")
    text = page.get_by_label("Text")
    text.press_sequentially("a good good film")
    expect(verdict(page)).to_have_text("positive")
    text.fill("bad bad bad good")
    expect(verdict(page)).to_have_text(HTML_TEXT)
    share = 1 / (1 + math.exp(-8))
    expect(page.locator(".bars li.best")).to_have_text(f"{HTML_TEXT}{100 * share:.1f}%")


def test_html_in_labels_and_cards_is_shown_as_text(open_page):
    page = open_page("review/1")
    expect(page.locator("nav li")).to_have_count(6)
    page.get_by_role("heading", name="Model card").click()
    expect(page.get_by_text(f"A card with code and {HTML_TEXT}.")).to_be_visible()
    expect(page.locator(".card li")).to_have_text(["one", "two"])
    expect(page.locator(".card td")).to_have_text(["accuracy", "1"])
    expect(page.locator("img")).to_have_count(0)
    expect(page.locator("script")).to_have_count(1)


def test_a_row_has_a_field_for_each_column(open_page):
    page = open_page("wage/1")
    expect(page.locator(".curl pre")).to_contain_text('{"Age_years":null,"job":null,"Town":null}')
    expect(verdict(page)).to_have_text("")
    page.get_by_label("Age/years").fill("41.5")
    expect(verdict(page)).to_have_text("wage: 41.5")
    page.get_by_label(HTML_TEXT).select_option("cook")
    expect(verdict(page)).to_have_text("wage: 141.5")
    with page.expect_request("**/*:predict") as request:
        page.get_by_label("Age/years").fill("")
    assert request.value.post_data_json == {"instances": [{"Age_years": None, "job": "cook", "Town": None}]}
    expect(verdict(page)).to_have_text("wage: 100")
    page.get_by_label(HTML_TEXT).select_option("")
    expect(verdict(page)).to_have_text("")
    expect(page.locator("datalist option")).to_have_count(60)


def test_a_prompt_is_continued(open_page):
    page = open_page("writer/1")
    page.get_by_label("Prompt").fill("ab<a")
    page.get_by_label("Length").fill("7")
    page.get_by_role("button", name="Generate").click()
    expect(verdict(page)).to_have_text("ab<ab<ab<ab")
    expect(page.locator(".prompt-text")).to_have_text("ab<a")
    page.get_by_label("Prompt").fill("xyz")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert").locator("visible=true")).to_contain_text("'x'")
    expect(verdict(page)).to_have_text("")


def test_text_generation_can_be_stopped(open_page):
    page = open_page("writer/1")
    slow = {"offline": False, "latency": 0, "downloadThroughput": 20_000, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Length").fill("2000")
    page.get_by_role("button", name="Generate").click()
    expect(verdict(page)).to_contain_text("<ab<")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    generated = verdict(page).inner_text()
    page.wait_for_timeout(300)
    assert verdict(page).inner_text() == generated
    assert len(generated) < 2000
    expect(page.get_by_role("alert").locator("visible=true")).to_have_count(0)


def test_a_model_without_preprocessing_has_a_json_form(open_page):
    page = open_page("plain/2")
    request = page.get_by_label("The request, as JSON")
    expect(request).to_have_value('{"instances":[[0,0,0]]}')
    request.fill('{"instances": [[1, 2, 3], [0, 0, 4]]}')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".raw pre")).to_have_text('{"predictions":[[2,4,6],[0,0,8]]}')
    request.fill('{"instances": [[1, 2]]}')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert").locator("visible=true")).to_contain_text("'x'")
    request.fill("{")
    page.get_by_role("button", name="Run", exact=True).click()
    assert request.evaluate("field => field.validationMessage")


# ------------------------------------------------------------------------------------------------------------- the page


def test_every_version_is_shown_with_its_metrics_and_card(open_page):
    page = open_page()
    links = page.locator("nav a .title")
    expect(links).to_have_text(["drawing", "plain 2", "plain 1", "review", "wage", "writer"])
    expect(page.locator("nav a[aria-current=page] .title")).to_have_text("drawing")
    expect(page.locator(".metrics tbody tr")).to_have_text(["accuracy0.987650.5", "cross entropy0.0312"])
    expect(page.locator(".metrics thead")).to_have_text(re.compile("model.*without a model", re.DOTALL))
    expect(page.locator(".baseline")).to_have_text(
        "Without a model: always answering 'wide'. The model is not better than one word."
    )
    expect(page.locator(".metrics-source")).to_have_text("On the 1,234 rows of the test split of lines.")
    expect(page.get_by_role("heading", name="paper")).to_be_hidden()
    page.get_by_role("heading", name="Model card").click()
    expect(page.get_by_role("heading", name="paper")).to_be_visible()
    expect(page.locator(".curl pre")).to_contain_text("/v1/models/drawing:predict")
    page.get_by_role("link", name="plain 1").click()
    expect(page.get_by_role("heading", name="plain")).to_be_visible()
    expect(page.locator(".metrics-source")).to_have_text("Not measured.")
    expect(page.locator(".curl pre")).to_contain_text("/v1/models/plain/versions/1:predict")


def test_the_address_selects_a_model_and_unknown_models_are_errors(open_page):
    page = open_page("plain")
    expect(page.locator("nav a[aria-current=page] .title")).to_have_text("plain 2")
    page.evaluate("location.hash = '#/plain/7'")
    expect(page.get_by_role("alert").locator("visible=true")).to_have_text("plain/7 is not served.")
    expect(page.locator("h2")).to_have_count(0)
    expect(page.locator("nav a[aria-current=page]")).to_have_count(0)
    page.get_by_role("link", name="review").click()
    expect(page.locator("h2")).to_have_text("review")
    expect(page.get_by_role("alert").locator("visible=true")).to_have_count(0)


@pytest.mark.parametrize("model", ["drawing/1", "review/1", "wage/1", "writer/1", "plain/1"])
def test_examples_run(open_page, model, tmp_path):
    page = open_page(model)
    if model == "drawing/1":
        draw_line(page, (0.5, 0.1), (0.5, 0.9))
        expect(verdict(page)).to_have_text("tall")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save drawing.png").click()
        saved.value.save_as(tmp_path / "drawing.png")
    if model == "review/1":
        page.get_by_label("Text").fill("it's \\ \"good\" — 'good' $HOME `ls` 日\nnone")
        expect(verdict(page)).to_have_text("positive")
    if model == "wage/1":
        page.get_by_label(HTML_TEXT).select_option('poet\'s "friend"')
        expect(page.locator(".curl pre")).to_contain_text("poet")
    curl, python = (page.locator(f".{name} pre").inner_text() for name in ("curl", "python"))
    result = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    response = eval(result.stdout)
    if page.locator(".bars li").count():
        assert response["labels"] == [verdict(page).inner_text()]
    assert set(response) & {"predictions", "text_output"}
    if shutil.which("curl"):
        described = subprocess.run(["bash", "-c", curl], cwd=tmp_path, capture_output=True, text=True)
        assert json.loads(described.stdout) == response, described.stderr


def test_the_examples_read_a_long_request_from_a_file(open_page, tmp_path):
    page = open_page("plain/1")
    body = {"instances": [[1, 2, 3]] * 400}
    page.get_by_label("The request, as JSON").fill(json.dumps(body))
    page.get_by_role("button", name="Run", exact=True).click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save request.json").click()
    saved.value.save_as(tmp_path / "request.json")
    assert json.loads((tmp_path / "request.json").read_text()) == body
    python = page.locator(".python pre").inner_text()
    result = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.startswith("{'predictions': [[2.0, 4.0, 6.0],"), result.stderr


def test_an_example_can_be_copied(open_page):
    page = open_page("review/1", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the curl example").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator(".curl pre").inner_text()


def test_the_page_requests_the_api_key_and_keeps_it_for_the_tab(browser, open_page, models, tmp_path):
    (tmp_path / "key").write_text("open-sesame\n")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER_WITH_KEY, str(models), str(tmp_path / "key")], stdout=subprocess.PIPE, text=True
    )
    try:
        page = open_page("review/1", address=process.stdout.readline().split(" at ")[-1].strip())
        field = page.get_by_label("This server requires an API key")
        expect(field).to_be_focused()
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The server rejected this key.")
        field.fill("open-sesame")
        field.press("Enter")
        expect(field).to_be_hidden()
        page.get_by_label("Text").fill("good")
        expect(verdict(page)).to_have_text("positive")
        page.reload()
        expect(page.get_by_role("heading", name="review")).to_be_visible()
        python = page.locator(".python pre").inner_text()
        assert "sesame" not in python + page.locator(".curl pre").inner_text()
        result = subprocess.run([sys.executable, "-c", python], env={"KEY": "open-sesame"}, capture_output=True)
        assert result.returncode == 0, result.stderr
    finally:
        process.terminate()
        process.wait(20)
    page.get_by_label("Text").fill("bad")
    expect(page.get_by_role("alert").locator("visible=true")).to_have_text("The server does not respond.")


MODELS = ["drawing/1", "review/1", "wage/1", "writer/1", "plain/1"]


@pytest.mark.parametrize("model", MODELS)
def test_the_page_fits_a_phone_and_every_field_has_a_name(open_page, model):
    page = open_page(model, viewport={"width": 360, "height": 740}, color_scheme="dark")
    expect(page.locator("h2")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    nameless = """() => [...document.querySelectorAll("input, select, textarea, canvas, button, img")]
        .filter((each) => !each.labels?.length && !each.ariaLabel && !each.textContent && !each.alt)
        .map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))


def test_the_keyboard_moves_through_the_page_with_a_visible_focus(open_page):
    page = open_page("writer/1")
    expect(page.locator("h2")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the model")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h2")).to_have_text("writer")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Prompt")).to_be_focused()
    assert page.get_by_label("Prompt").evaluate("field => getComputedStyle(field).outlineStyle") == "solid"


# ---------------------------------------------------------------------------------------------------------- server side


def test_the_models_document_has_what_a_form_needs(url):
    described = {f"{model['name']}/{model['version']}": model for model in httpx.get(f"{url}/models").json()}
    assert list(described) == ["drawing/1", "plain/2", "plain/1", "review/1", "wage/1", "writer/1"]
    wage = described["wage/1"]
    assert [column["name"] for column in wage["columns"]] == ["Age/years", HTML_TEXT, "Town"]
    assert (wage["target"], described["drawing/1"]["columns"], described["writer/1"]["generates_text"]) == (
        "wage",
        [],
        True,
    )
    assert (described["drawing/1"]["card"], wage["card"]) == (CARD, "")


def test_files_have_security_headers_and_other_paths_are_404(url):
    for path in ("/", "/page/page.js", "/page/page.css", "/page/icon.svg"):
        response = httpx.get(url + path)
        assert response.status_code == 200
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("/page/page.py", "/page/%2e%2e%2fpage.py", "/page/"):
        assert httpx.get(url + path).status_code == 404


def test_a_removed_card_is_no_error(tmp_path, start):
    export_review(tmp_path)
    process = start(tmp_path)
    address = process.stdout.readline().split(" at ")[-1].strip()
    (tmp_path / "review" / "1" / "README.md").unlink()
    (review,) = httpx.get(f"{address}/models").json()
    process.terminate()
    process.communicate(timeout=20)
    assert review["card"] == ""
