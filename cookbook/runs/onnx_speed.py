"""Would ONNX Runtime serve the default model's network as fast as the project's own CPU path, and keep the same spans?

    OMP_WAIT_POLICY=passive python cookbook/runs/onnx_speed.py OUT

Needs onnxruntime, onnx and onnxscript, which the project does not depend on (measured with 1.32, 1.23 and 0.7).
Threads that wait sleep here, torch's and ONNX Runtime's: beside other jobs, two that spin for one another took thirty
times as long as one.

Exports the shipped network to OUT (padded, every dimension but the width of a vector free), as it is and in 8-bit
integers three ways: ``quantize_dynamic`` per tensor and per channel, and with the project's own scales (an input's by
token, a weight's by output, to -64..64). Times all of them beside the project in turns, on the speeches of the
cookbook: ratios to the project's time in the same round, since a shared machine is never twice equally fast.
Prints the table and writes it to OUT/report.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gist_core import Budget, Passage
from gist_core.checkpoint import read_manifest
from gist_core.loading import DEFAULT
from gist_core.passage import Span
from gist_core.selective import engine, network
from gist_core.selective.batches import padded_batches
from gist_core.selective.compressor import SelectiveCompressor
from gist_core.selective.engine import Parts, load_parts
from gist_core.selective.lanes import Lanes
from gist_core.selective.model import QueryState, SelectiveModel
from gist_core.selective.network import Network, Output, PackedNetwork, PaddedNetwork
from gist_core.selective.scorer import Scorer, WindowItem, WindowScores
from gist_core.selective.signals import prepare
from gist_core.selective.windows import padded
from gist_core.tokens import token_counter

Ints = NDArray[np.int64]
ROUNDS = 11
THREADS = (1, 2)
SETTLE = 0.05  # seconds between turns: threads of the one before still spin for a while
SAME = 1e-4
OWN = "com.microsoft"  # operators of ONNX Runtime beside the standard
QUERY = "What does the speaker say about the cost of the war and who will pay for it?"
SPEECHES = {
    p.stem: p.read_text(encoding="utf-8") for p in sorted(Path(__file__).parents[1].glob("data/speeches/*.txt"))
}
TEXT = " ".join(SPEECHES.values()).split()
BUDGETS = {"1/4": Budget(ratio=0.25), "1/10": Budget(ratio=0.1)}
PARTS, PASSAGE_WORDS = 3, 120
QUESTIONS = (
    ("1949-truman", "How many low-rent housing units should be built?"),
    ("1949-truman", "What should be done about strikes in vital industries?"),
    ("1949-truman", "Which taxes should be raised?"),
    ("1955-eisenhower", "What does he propose for farmers with low incomes?"),
    ("1955-eisenhower", "How many people were added to old-age insurance?"),
    ("1955-eisenhower", "What is said about highways?"),
    ("1961-kennedy", "What will it cost to land a man on the moon?"),
    ("1961-kennedy", "Who will be responsible for civil defense?"),
    ("1961-kennedy", "How are workers retrained who lost their jobs to machines?"),
    ("1965-johnson", "What is planned for education and scholarships?"),
    ("1965-johnson", "Why are American soldiers in Vietnam?"),
    ("1970-nixon", "How are air and water to be kept clean?"),
    ("1970-nixon", "What is the cause of inflation?"),
    ("1980-carter", "How did the United States punish the Soviet Union for Afghanistan?"),
    ("1980-carter", "Why is dependence on foreign oil dangerous?"),
    ("1986-reagan", "What should be done about the budget deficit?"),
    ("1986-reagan", "What is wrong with welfare?"),
    ("1990-bush", "How many troops remain in Europe?"),
    ("1998-clinton", "What should the surplus be used for?"),
    ("1998-clinton", "Why should Americans care about the financial crisis in Asia?"),
)


@cache
def parts() -> Parts:
    """The shipped checkpoint."""
    return load_parts(DEFAULT)


class Windows(nn.Module):
    """All that a window is scored with, in one pass."""

    def __init__(self, model: SelectiveModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, query: Tensor, query_mask: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``SelectiveModel.forward``, with (B, Q, H) query vectors and their mask (B, Q)."""
        shared = self.model.encode_windows(ids, mask)
        keep, relevance = self.model.interact(query, query_mask, shared, mask)
        return keep, relevance, self.model.embed(shared, mask)


class Query(nn.Module):
    """A query's state as plain tensors."""

    def __init__(self, model: SelectiveModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """As ``SelectiveModel.encode_query``."""
        state = self.model.encode_query(ids)
        return state.hidden, state.embedding


def plain_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Attention without torch's guard against rows that see nothing: a seventh of the time in ONNX Runtime."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if attn_mask is not None:
        scores = scores + torch.where(attn_mask, 0.0, -1e9)
    return torch.matmul(scores.softmax(-1), v)


def export(model: SelectiveModel, folder: Path) -> None:
    """Write query.onnx and windows.onnx in float32."""
    free, hidden = torch.export.Dim.DYNAMIC, model.config.hidden_size
    ids, mask = torch.randint(5, 1_000, (3, 20)), torch.ones(3, 20, dtype=torch.bool)
    query = (torch.randn(3, 9, hidden), torch.ones(3, 9, dtype=torch.bool))
    settings: dict[str, Any] = {"dynamo": True, "opset_version": 20, "external_data": False, "verbose": False}
    with patch.object(F, "scaled_dot_product_attention", plain_attention):
        torch.onnx.export(
            Windows(model).eval(),
            (*query, ids, mask),
            folder / "windows.onnx",
            input_names=["query", "query_mask", "ids", "mask"],
            dynamic_shapes=({0: free, 1: free},) * 4,
            **settings,
        )
        torch.onnx.export(
            Query(model).eval(),
            (ids[:1],),
            folder / "query.onnx",
            input_names=["ids"],
            dynamic_shapes=({1: free},),
            **settings,
        )


def quantise(source: Path, target: Path, *, per_channel: bool) -> None:
    """The linear layers in 8-bit integers as ONNX Runtime does it: one scale for all inputs of a layer."""
    tool = import_module("onnxruntime.quantization")
    tool.quantize_dynamic(
        source, target, per_channel=per_channel, weight_type=tool.QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )


def quantise_rows(source: Path, target: Path) -> None:
    """The linear layers in 8-bit integers as ``int8.Int8Linear`` does it: a scale for every token."""
    onnx, helper = import_module("onnx"), import_module("onnx.helper")
    array = import_module("onnx.numpy_helper")
    model = onnx.load(source)
    graph = model.graph
    weights = {t.name: array.to_array(t) for t in graph.initializer}
    constants = {"least": np.float32(1e-12), "most": np.float32(127), "one": np.float32(1), "zero": np.uint8(128)}
    made: dict[str, NDArray[Any]] = {f"int8.{n}": np.asarray(v) for n, v in constants.items()}
    made["int8.axis"] = np.array([-1])
    nodes: list[Any] = []
    done: set[str] = set()

    def add(operator: str, inputs: Sequence[str], output: str, **settings: Any) -> None:
        if output not in done:  # query, key and value share their input
            nodes.append(helper.make_node(operator, inputs, [output], **settings))
            done.add(output)

    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            nodes.append(node)
            continue
        (x, name), out = node.input, node.output[0]
        scale = np.maximum(np.abs(weights[name]).max(axis=0), 1e-12) / 64
        made[f"{name}.int8"] = np.round(weights[name] / scale).astype(np.int8)
        made[f"{name}.scale"] = scale.astype(np.float32)
        add("Abs", [x], f"{x}.abs")
        add("ReduceMax", [f"{x}.abs", "int8.axis"], f"{x}.max", keepdims=1)
        add("Max", [f"{x}.max", "int8.least"], f"{x}.limit")
        add("Div", [f"{x}.limit", "int8.most"], f"{x}.scale")
        add("Div", [x, f"{x}.scale"], f"{x}.scaled")
        add("QuantizeLinear", [f"{x}.scaled", "int8.one", "int8.zero"], f"{x}.int8")
        factors = [f"{x}.int8", f"{name}.int8", "int8.one", f"{name}.scale", "int8.zero"]
        add("MatMulIntegerToFloat", factors, f"{out}.sums", domain=OWN)
        add("Mul", [f"{out}.sums", f"{x}.scale"], out)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept + [array.from_array(v, n) for n, v in made.items()])
    model.opset_import.append(helper.make_opsetid(OWN, 1))
    onnx.save(model, target)


class OnnxNetwork:
    """The exported network behind ``Network``; one query for all windows, as in every call here."""

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        self.lanes = Lanes(1)  # the runtime divides an operation among its own threads
        self._query, self._windows = (_session(folder / f"{part}{kind}.onnx", threads) for part in ("query", "windows"))

    def batches(self, windows: Sequence[int], queries: Sequence[int]) -> list[list[int]]:
        """As ``Network.batches``."""
        return padded_batches(windows, PackedNetwork.batch_tokens)

    def query(self, ids: Sequence[int]) -> QueryState:
        """As ``Network.query``."""
        hidden, embedding = self._query.run(None, {"ids": np.array([ids], dtype=np.int64)})
        return QueryState(torch.from_numpy(hidden), torch.from_numpy(embedding))

    def score(self, queries: Sequence[QueryState], windows: Sequence[Ints], known: Sequence[bool]) -> Output:
        """As ``Network.score``."""
        ids, mask = padded(windows, 0)
        query = np.repeat(queries[0].hidden.numpy(), len(windows), axis=0)
        inputs = {"query": query, "query_mask": np.ones(query.shape[:2], dtype=np.bool_), "ids": ids, "mask": mask}
        keep, relevance, embeddings = self._windows.run(None, inputs)
        new = [row for row, is_known in enumerate(known) if not is_known]
        vectors = embeddings[new][mask[new]]
        return Output(torch.from_numpy(keep[mask]), torch.from_numpy(relevance), torch.from_numpy(vectors))

    def read(self, windows: Sequence[Ints]) -> Tensor:
        """Of no use here."""
        raise NotImplementedError


def _session(path: Path, threads: int) -> Any:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as OMP_WAIT_POLICY does for torch
    options.log_severity_level = 3
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def in_float(model: SelectiveModel) -> Network:
    """The project's packed network without integers."""
    with patch.object(network, "fast_linear", lambda weight, bias: partial(F.linear, weight=weight, bias=bias)):
        return PackedNetwork(model)


def contenders(model: SelectiveModel, folder: Path, threads: int) -> dict[str, Network]:
    """The networks by name, the project's as it ships first."""
    return {
        "the project, integers": PackedNetwork(model),
        "the project, float32": in_float(model),
        "ONNX, float32": OnnxNetwork(folder, "", threads),
        "ONNX, int8 per tensor": OnnxNetwork(folder, "-tensor", threads),
        "ONNX, int8 per channel": OnnxNetwork(folder, "-channel", threads),
        "ONNX, the project's scales": OnnxNetwork(folder, "-rows", threads),
    }


def words(number: int, start: int = 0) -> str:
    """``number`` words of the speeches from word ``start`` on, going round."""
    return " ".join(TEXT[(start + i) % len(TEXT)] for i in range(number))


def cut(number: int, length: int, start: int = 0) -> list[WindowItem]:
    """The windows of ``number`` texts of ``length`` words."""
    texts = [words(length, start + i * length) for i in range(number)]
    return prepare(texts, QUERY, parts().tokenizer, parts().model.config).items


def measure(call: Callable[[Network], object], networks: Mapping[str, Network]) -> dict[str, float]:
    """Seconds of the call with every network, one after the other."""
    spent = {}
    for name, found in networks.items():
        time.sleep(SETTLE)
        call(found)  # wakes its threads and fills the cache
        began = time.perf_counter()
        call(found)
        spent[name] = time.perf_counter() - began
    return spent


def ratios(number: int, length: int, networks: Mapping[str, Network]) -> dict[str, str]:
    """Time as a multiple of the first network's in the same round, other words in every round: median, quartiles."""
    rounds = []
    for turn in range(ROUNDS + 1):
        items = cut(number, length, 997 * turn)
        rounds.append(measure(lambda found, items=items: Scorer(found)(items), networks))  # type: ignore[misc]  # a default
    first = next(iter(networks))
    milliseconds = 1000 * statistics.median(r[first] for r in rounds[1:])
    shown = {}
    for name in networks:
        low, middle, high = statistics.quantiles((r[name] / r[first] for r in rounds[1:]), n=4)
        shown[name] = f"{middle:.2f} ({low:.2f}-{high:.2f})"
    return shown | {first: f"1 ({milliseconds:.0f} ms)"}


def apart(found: Network, items: Sequence[WindowItem]) -> float:
    """Largest difference of a keep score between a window alone and the same window with all the others."""
    with torch.inference_mode():
        state = found.query(items[0].query)
        together = found.score([state] * len(items), [i.ids for i in items], [False] * len(items)).keep
        alone = torch.cat([found.score([state], [i.ids], [False]).keep for i in items])
    return float((alone - together).abs().max())


def largest_difference(left: Sequence[WindowScores], right: Sequence[WindowScores]) -> float:
    """Of all that the scorer says of windows."""
    fields = ("keep", "relevance", "piece_cosine", "window_cosine", "central")
    pairs = ((getattr(a, f), getattr(b, f)) for a, b in zip(left, right, strict=True) for f in fields)
    return max(float(np.abs(np.subtract(a, b)).max(initial=0)) for a, b in pairs)


Kept = dict[str, list[list[list[Span]]]]


def spans(found: Network) -> Kept:
    """What is kept in every call, by budget, if the network scores the windows."""
    kept: Kept = {name: [] for name in BUDGETS}
    compressor = SelectiveCompressor(read_manifest(DEFAULT), lambda: DEFAULT, "cpu")
    with patch.object(engine, "start_network", lambda *_: found):
        for speech, question in QUESTIONS:
            for passages in cut_speech(SPEECHES[speech]):
                plans = compressor.allocations(passages, question, list(BUDGETS.values()))
                for name, plan in zip(BUDGETS, plans, strict=True):
                    kept[name].append(plan.kept)
    return kept


def cut_speech(text: str) -> list[list[Passage]]:
    """Its parts, each cut into passages."""
    said = text.split()
    size = -(-len(said) // PARTS)
    return [
        [Passage(str(at), " ".join(part[at : at + PASSAGE_WORDS])) for at in range(0, len(part), PASSAGE_WORDS)]
        for part in (said[start : start + size] for start in range(0, len(said), size))
    ]


def agreement(ours: Kept, theirs: Kept) -> dict[str, str]:
    """By budget: calls with exactly the same spans, and the share of the kept characters that both keep."""
    shown = {}
    for name in ours:
        pairs = list(zip(ours[name], theirs[name], strict=True))
        same = sum(a == b for a, b in pairs)
        both = [(characters(a), characters(b)) for a, b in pairs]
        share = statistics.mean(len(a & b) / max(1, len(a | b)) for a, b in both)
        shown[f"Same spans at {name}"] = f"{same} of {len(pairs)} ({100 * share:.0f} %)"
    return shown


def characters(kept: Sequence[Sequence[Span]]) -> set[tuple[int, int]]:
    """Passage and place of every character."""
    return {(row, at) for row, found in enumerate(kept) for start, end in found for at in range(start, end)}


def compare(networks: Mapping[str, Network], items: list[WindowItem]) -> dict[str, dict[str, str]]:
    """All but the times, by column and contender."""
    columns: dict[str, dict[str, str]] = {}
    reference = Scorer(PaddedNetwork(parts().model))(items)
    kept = {name: spans(found) for name, found in networks.items()}
    for name, found in networks.items():
        error = largest_difference(Scorer(found)(items), reference)
        if "float32" in name and error > SAME:
            raise SystemExit(f"{name} is {error} away from the model.")
        cells = {"From float32 torch": f"{error:.1e}", "Alone and with 19": f"{apart(found, items):.1e}"}
        for column, cell in (cells | agreement(next(iter(kept.values())), kept[name])).items():
            columns.setdefault(column, {})[name] = cell
    return columns


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """In Markdown."""
    names = next(iter(columns.values()))
    rows = [["", *columns], ["---"] * (len(columns) + 1), *([n, *(c[n] for c in columns.values())] for n in names)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(folder: Path) -> None:
    """Export, measure and print."""
    folder.mkdir(parents=True, exist_ok=True)
    export(parts().model, folder)
    for part in ("query", "windows"):
        source = folder / f"{part}.onnx"
        quantise(source, folder / f"{part}-tensor.onnx", per_channel=False)
        quantise(source, folder / f"{part}-channel.onnx", per_channel=True)
        quantise_rows(source, folder / f"{part}-rows.onnx")
    count = token_counter("o200k_base").count
    length = next(n for n in range(80, 200) if count(words(n)) >= 150)
    columns: dict[str, dict[str, str]] = {}
    for threads in THREADS:
        torch.set_num_threads(threads)
        networks = contenders(parts().model, folder, threads)
        columns[f"400 words, threads: {threads}"] = ratios(1, 400, networks)
        columns[f"20 x 150 tokens, threads: {threads}"] = ratios(20, length, networks)
    columns |= compare(networks, cut(20, length))
    print(table(columns))
    (folder / "report.md").write_text(table(columns) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
