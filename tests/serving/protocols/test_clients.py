"""NVIDIA's client of the Open Inference Protocol: every method of the client, over a real connection."""

import asyncio
import itertools

import numpy as np
import pytest
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.http.auth import BasicAuth
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

IMAGES = np.random.default_rng(0).normal(size=(3, 2, 3)).astype("float32")
MANY = np.random.default_rng(1).normal(size=(600, 2, 3)).astype("float32")
IDS = np.array([[1, 2, 9], [0, 5, 5]])
WEIGHTS = np.array([[1, 0.5, 2], [-1, 3, 0]], "float32")
TEXTS = np.array([["a", "é\n日"], ["", "b" * 300]], object)
EVERYWHERE = {"headers": {"X-Request-Id": "7"}, "query_params": {"a": 1, "b": ["2", "ü&?"]}}
"""Headers and a query that every call accepts; the server ignores them."""


def input_tensor(name, array, binary=True):
    return http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array, binary)


def output_request(name, binary=True, classes=0):
    return http.InferRequestedOutput(name, binary_data=binary, class_count=classes)


def assert_error(call, *parts, status="400"):
    with pytest.raises(InferenceServerException) as raised:
        call()
    assert raised.value.status() == status
    for part in parts:
        assert part in raised.value.message()


@pytest.fixture
def client(server):
    with http.InferenceServerClient(f"{server.base_url.host}:{server.base_url.port}", concurrency=4) as client:
        yield client


class Calls:
    """The expected behavior of each client method, by its name."""

    def is_server_live(self, client, direct):
        assert client.is_server_live(**EVERYWHERE)

    def is_server_ready(self, client, direct):
        assert client.is_server_ready(**EVERYWHERE)

    def is_model_ready(self, client, direct):
        assert client.is_model_ready("scores", **EVERYWHERE)
        assert client.is_model_ready("scores", "12")
        assert not client.is_model_ready("scores", "13")
        assert not client.is_model_ready("nothing")

    def get_server_metadata(self, client, direct):
        response = client.get_server_metadata(**EVERYWHERE)
        assert response["name"] == "kerasfound"
        assert {"binary_tensor_data", "statistics", "model_repository"} <= set(response["extensions"])

    def get_model_metadata(self, client, direct):
        response = client.get_model_metadata("pair", "1", **EVERYWHERE)
        assert response["inputs"] == [
            {"name": "ids", "datatype": "INT64", "shape": [-1, -1]},
            {"name": "weights", "datatype": "FP32", "shape": [-1, -1]},
        ]
        assert [output["name"] for output in response["outputs"]] == ["total", "positive"]
        assert_error(lambda: client.get_model_metadata("nothing"), "'nothing'", "'pair'", status="404")

    def get_model_config(self, client, direct):
        response = client.get_model_config("words", "1", **EVERYWHERE)
        assert response["input"] == [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}]
        assert response["output"] == [{"name": "y", "data_type": "TYPE_STRING", "dims": [2]}]
        age, city = client.get_model_config("persons")["input"]
        assert age == {"name": "age", "data_type": "TYPE_FP32", "dims": [1], "reshape": {"shape": []}}
        assert (city["dims"], city["reshape"]) == ([1], {"shape": []})
        assert response["max_batch_size"] > 0

    def get_model_repository_index(self, client, direct):
        response = client.get_model_repository_index(**EVERYWHERE)
        assert {("scores", "1"), ("scores", "12"), ("pair", "1")} <= {(row["name"], row["version"]) for row in response}
        assert {row["state"] for row in response} == {"READY"}

    def load_model(self, client, direct):
        client.load_model("flags", **EVERYWHERE)
        assert client.is_model_ready("flags")
        assert_error(lambda: client.load_model("nothing"), "'nothing'")
        assert_error(lambda: client.load_model("flags", config="{}"), "the model's folder defines everything")
        assert_error(
            lambda: client.load_model("flags", config="{}", files={"file:1/model.onnx": b"x"}), "the model's folder"
        )

    def unload_model(self, client, direct):
        client.unload_model("flags", unload_dependents=True, **EVERYWHERE)
        try:
            assert not client.is_model_ready("flags")
            rows = [row for row in client.get_model_repository_index() if row["name"] == "flags"]
            assert rows == [{"name": "flags", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}]
            assert_error(lambda: client.unload_model("flags"), "'flags'", status="404")
        finally:
            client.load_model("flags")
        assert client.is_model_ready("flags")

    def get_inference_statistics(self, client, direct):
        def count():
            (response,) = client.get_inference_statistics("scores", "1", **EVERYWHERE)["model_stats"]
            assert response["inference_stats"]["success"]["ns"] >= 0
            assert (
                sum(batch["compute_infer"]["count"] for batch in response["batch_stats"]) == response["execution_count"]
            )
            return response["inference_stats"]["success"]["count"], response["inference_count"]

        requests, rows = count()
        client.infer("scores", [input_tensor("image", IMAGES)], "1")
        assert count() == (requests + 1, rows + 3)
        assert len(client.get_inference_statistics("scores")["model_stats"]) == 2
        statistics = client.get_inference_statistics()["model_stats"]
        assert {("scores", "12"), ("words", "1")} <= {
            (response["name"], response["version"]) for response in statistics
        }

    def get_trace_settings(self, client, direct):
        assert client.get_trace_settings(**EVERYWHERE)["trace_level"] == ["OFF"]
        assert client.get_trace_settings("scores")["trace_level"] == ["OFF"]
        assert_error(lambda: client.get_trace_settings("nothing"), "'nothing'", status="404")

    def update_trace_settings(self, client, direct):
        off = client.get_trace_settings()
        assert client.update_trace_settings(settings={"trace_level": ["OFF"], "trace_rate": None}, **EVERYWHERE) == off
        assert client.update_trace_settings("scores", {}) == off
        assert_error(
            lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}), "'trace_level'", "OFF"
        )
        assert_error(lambda: client.update_trace_settings("scores", {"trace_rate": "1"}), "'trace_rate'")

    def get_log_settings(self, client, direct):
        assert client.get_log_settings(**EVERYWHERE)["log_verbose_level"] == 0

    def update_log_settings(self, client, direct):
        response = client.get_log_settings()
        try:
            assert client.update_log_settings({"log_verbose_level": 1, "log_info": True, "log_file": None}) == (
                response | {"log_verbose_level": 1}
            )
            assert client.get_log_settings() == response | {"log_verbose_level": 1}
        finally:
            assert client.update_log_settings({"log_verbose_level": 0}, **EVERYWHERE) == response
        assert_error(lambda: client.update_log_settings({"log_file": "/tmp/x"}), "'log_file'")
        for level in (-1, "1", True, 1.5, [1]):
            assert_error(
                lambda level=level: client.update_log_settings({"log_verbose_level": level}), "log_verbose_level"
            )

    def get_system_shared_memory_status(self, client, direct):
        assert client.get_system_shared_memory_status(**EVERYWHERE) == []
        assert_error(lambda: client.get_system_shared_memory_status("a"), "'a'", status="404")

    def register_system_shared_memory(self, client, direct):
        assert_error(
            lambda: client.register_system_shared_memory("a", "/a", 64, **EVERYWHERE), "no shared memory", "body"
        )

    def unregister_system_shared_memory(self, client, direct):
        client.unregister_system_shared_memory("a", **EVERYWHERE)
        client.unregister_system_shared_memory()

    def get_cuda_shared_memory_status(self, client, direct):
        assert client.get_cuda_shared_memory_status(**EVERYWHERE) == []
        assert_error(lambda: client.get_cuda_shared_memory_status("a"), "'a'", status="404")

    def register_cuda_shared_memory(self, client, direct):
        assert_error(lambda: client.register_cuda_shared_memory("a", b"aaaa", 0, 64, **EVERYWHERE), "no shared memory")

    def unregister_cuda_shared_memory(self, client, direct):
        client.unregister_cuda_shared_memory("a", **EVERYWHERE)
        client.unregister_cuda_shared_memory()

    def infer(self, client, direct):
        """Every way to send and receive tensors, with and without compression."""
        expected = direct("pair", {"ids": IDS, "weights": WEIGHTS})
        for sent, got in itertools.product((True, False), repeat=2):
            inputs = [input_tensor("weights", WEIGHTS, sent), input_tensor("ids", IDS, sent)]
            result = client.infer(
                "pair", inputs, outputs=[output_request("positive", got), output_request("total", not got)]
            )
            np.testing.assert_array_equal(result.as_numpy("total"), expected[0])
            np.testing.assert_array_equal(result.as_numpy("positive"), expected[1])
            assert result.get_output("total")["datatype"] == "FP32"
            assert result.as_numpy("nothing") is None
        for sent, got in itertools.product((True, False), repeat=2):
            result = client.infer("words", [input_tensor("x", TEXTS, sent)], outputs=[output_request("y", got)])
            texts = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("y").ravel()]
            assert texts == TEXTS.ravel().tolist()
        (scores,) = direct("scores", {"image": MANY}, 12)
        for sent, got in itertools.product((None, "gzip", "deflate"), repeat=2):
            compression = {"request_compression_algorithm": sent, "response_compression_algorithm": got}
            for binary in (True, False):
                outputs = [output_request("probabilities", binary)]
                result = client.infer("scores", [input_tensor("image", MANY, binary)], outputs=outputs, **compression)
                np.testing.assert_array_almost_equal(result.as_numpy("probabilities"), scores)
        result = client.infer(
            "scores",
            [input_tensor("image", IMAGES)],
            "1",
            request_id="é 1",
            sequence_id=5,
            sequence_start=True,
            sequence_end=True,
            priority=2,
            timeout=5_000_000,
            parameters={"mine": "yes", "count": 3, "flag": True},
            **EVERYWHERE,
        )
        (scores,) = direct("scores", {"image": IMAGES}, 1)
        np.testing.assert_array_equal(result.as_numpy("probabilities"), scores)
        response = result.get_response()
        assert (response["id"], response["model_name"], response["model_version"]) == ("é 1", "scores", "1")
        for binary in (True, False):
            result = client.infer(
                "scores", [input_tensor("image", IMAGES)], "1", [output_request("probabilities", binary, classes=2)]
            )
            texts = [
                str(text, "utf-8") if isinstance(text, bytes) else text
                for text in result.as_numpy("probabilities").ravel()
            ]
            best = np.argsort(-scores, axis=1)[:, :2]
            assert texts == [f"{row[i]:f}:{i}" for row, two in zip(scores, best, strict=True) for i in two]
        assert_error(
            lambda: client.infer("scores", [input_tensor("image", IMAGES[:, :1])]), "(3, 1, 3)", "(batch, 2, 3)"
        )
        shared = http.InferInput("image", [3, 2, 3], "FP32")
        shared.set_shared_memory("a", 72)
        assert_error(lambda: client.infer("scores", [shared]), "no shared memory")
        output = output_request("probabilities")
        output.set_shared_memory("a", 48)
        assert_error(
            lambda: client.infer("scores", [input_tensor("image", IMAGES)], outputs=[output]), "no shared memory"
        )

    def async_infer(self, client, direct):
        (expected,) = direct("scores", {"image": MANY}, 12)
        requests = [
            client.async_infer(
                "scores",
                [input_tensor("image", MANY[i : i + 1], binary=i % 2 == 0)],
                outputs=[output_request("probabilities", binary=i % 3 == 0)],
                request_id=str(i),
                request_compression_algorithm=(None, "gzip", "deflate")[i % 3],
                response_compression_algorithm=(None, "gzip", "deflate")[i % 3],
                timeout=10_000_000,
            )
            for i in range(12)
        ]
        for i, pending in enumerate(requests):
            result = pending.get_result()
            assert result.get_response()["id"] == str(i)
            np.testing.assert_array_almost_equal(result.as_numpy("probabilities"), expected[i : i + 1])
        assert_error(
            client.async_infer("nothing", [input_tensor("image", IMAGES)]).get_result, "'nothing'", status="404"
        )

    def generate_request_body(self, client, direct):
        """A body that the client makes and another client sends."""
        (expected,) = direct("scores", {"image": IMAGES}, 12)
        for binary in (True, False):
            body, length = client.generate_request_body(
                [input_tensor("image", IMAGES, binary)], request_id="a", timeout=10**7
            )
            headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
            response = client._post("v2/models/scores/infer", body, headers, None)
            length, content = response.get("Inference-Header-Content-Length"), response.read()
            result = client.parse_response_body(bytes(content), header_length=length and int(length))
            np.testing.assert_array_equal(result.as_numpy("probabilities"), expected)

    parse_response_body = generate_request_body

    def register_plugin(self, client, direct):
        """A plugin adds headers to every call, such as a password for a proxy."""
        plugin = BasicAuth("user", "pass")
        client.register_plugin(plugin)
        assert client.plugin() is plugin
        assert client.is_server_live(headers={})
        client.unregister_plugin()
        assert client.plugin() is None

    plugin = unregister_plugin = register_plugin

    def close(self, client, direct):
        assert client.is_server_live()
        client.close()
        client.close()


PUBLIC = [name for name in dir(http.InferenceServerClient) if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_of_the_client(name, client, direct):
    getattr(Calls(), name)(client, direct)


def test_the_asynchronous_client(server, direct):
    async def run():
        async with aio.InferenceServerClient(f"{server.base_url.host}:{server.base_url.port}") as client:
            assert await client.is_server_live(query_params={"a": 1})
            assert await client.is_model_ready("scores", "12")
            assert (await client.get_model_metadata("scores"))["versions"] == ["12", "1"]
            assert await client.get_system_shared_memory_status() == []
            compression = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate"}
            requests = [
                client.infer(
                    "scores", [input_tensor("image", MANY[i:], binary=i % 2 == 0)], request_id=str(i), **compression
                )
                for i in range(0, 600, 50)
            ]
            return await asyncio.gather(*requests)

    (expected,) = direct("scores", {"image": MANY}, 12)
    for i, result in zip(range(0, 600, 50), asyncio.run(run()), strict=True):
        np.testing.assert_array_almost_equal(result.as_numpy("probabilities"), expected[i:])
        assert result.get_response()["id"] == str(i)
