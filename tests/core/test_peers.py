"""Peers as they are called: LLMLingua and LLMLingua-2 through their package with tiny weights, OpenProvence."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import pytest

from gist_core import Budget, Passage
from gist_core.errors import CheckpointError, CompressionError, InvalidInputError, MissingExtraError
from gist_core.evaluation.systems.llmlingua import llmlingua, llmlingua2, llmlingua2_small
from gist_core.evaluation.systems.llmlingua_shapes import SHAPES, Shape, random_llmlingua2, write_random
from gist_core.evaluation.systems.openprovence import openprovence
from gist_core.evaluation.systems.rates import RateCompressor
from gist_core.tokens import token_counter
from gist_core.words import word_texts

needs_package = pytest.mark.skipif(find_spec("llmlingua") is None, reason="llmlingua is not installed")
COUNT = token_counter("cl100k_base").count
STORY = (
    "Ann Miller opened the bakery in Lisbon in 1987 with a loan of 12,000 euros. Her brother kept the books until the "
    "autumn, and nobody in the street believed that it would last. They sold bread, cakes and coffee from six in the "
    "morning. In the third year a newspaper wrote about the almond tart, and people came from other towns to taste it. "
)
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SMALL = Shape(SHAPES["small"].published, "bert", {**TINY, "vocab_size": 400})
LARGE = Shape(
    SHAPES["large"].published,
    "xlm-roberta",
    {**TINY, "vocab_size": 400, "max_position_embeddings": 514, "type_vocab_size": 1},
)


def story(parts=4):
    words = STORY.split()
    return [Passage(str(n), " ".join([*words[n * 7 :], *words[: n * 7]])) for n in range(parts)]


def limited(ratio):
    return Budget(ratio=ratio, tokenizer="cl100k_base")


def size(results):
    return COUNT("\n\n".join(r.text for r in results if r.text))


def by_words(texts, rate):
    """Keeps the first words, a third more than was asked for."""
    return [" ".join(text.split()[: round(1.33 * rate * len(text.split()))]) for text in texts]


@pytest.mark.parametrize("ratio", [0.5, 0.25, 0.1, 0.05])
def test_it_is_asked_for_less_until_it_is_within_the_budget(ratio):
    rates = []

    def shrink(texts, rate):
        rates.append(rate)
        return by_words(texts, rate)

    whole = COUNT("\n\n".join(p.text for p in story()))
    results = RateCompressor("any", shrink).compress(story(), query="Who?", budget=limited(ratio))
    assert 0.6 * ratio * whole < size(results) <= ratio * whole
    assert len(rates) >= 2
    assert rates == sorted(rates, reverse=True)
    assert [r.source_id for r in results] == ["0", "1", "2", "3"]
    assert all(r.kept is None and r.model == "any" for r in results)
    assert all(r.usage.tokens_in == COUNT(p.text) for p, r in zip(story(), results, strict=True))


def test_what_never_fits_is_cut_at_whole_words():
    results = RateCompressor("stubborn", lambda texts, rate: texts, tries=2).compress(story(), budget=limited(0.3))
    assert size(results) <= 0.3 * COUNT("\n\n".join(p.text for p in story()))
    assert results[0].text == story()[0].text[: len(results[0].text)]
    assert all(set(word_texts(r.text)) <= set(word_texts(STORY)) for r in results)


def test_what_fits_as_it_is_comes_back_unasked_and_blank_passages_are_not_handed_over():
    seen = []

    def shrink(texts, rate):
        seen.extend(texts)
        return by_words(texts, rate)

    system = RateCompressor("any", shrink)
    passages = [Passage("a", "One two three."), Passage("b", " ")]
    assert [r.text for r in system.compress(passages, budget=Budget(tokens=50))] == ["One two three.", " "]
    assert seen == []
    results = system.compress([*passages, *story(1)], budget=Budget(tokens=30))
    assert results[1].text == ""
    assert set(seen) == {"One two three.", story(1)[0].text}


def test_what_it_cannot_do_is_told():
    system = RateCompressor("any", by_words)
    with pytest.raises(InvalidInputError, match="keep"):
        system.compress(story(), budget=limited(0.5), keep=["1987"])
    with pytest.raises(InvalidInputError, match="threshold"):
        system.compress(story(), budget=Budget(threshold=0.5))


@pytest.mark.slow
@needs_package
@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["bert", "xlm-roberta"])
def test_llmlingua2_runs_through_its_package(shape, tmp_path):
    alone, joined = random_llmlingua2(shape, [STORY], tmp_path / "model")
    passages = [*story(), Passage("blank", "")]
    whole = COUNT("\n\n".join(p.text for p in story()))
    for ratio in (0.25, 0.33):
        results = alone.compress(passages, query="Who?", budget=limited(ratio))
        assert 0.4 * ratio * whole < size(results) <= ratio * whole  # its post-processing has chosen words
        assert [bool(r.text) for r in results] == [True, True, True, True, False]
        for passage, result in zip(passages, results, strict=True):
            assert len(result.text) < len(passage.text) or not passage.text
        as_one = joined.compress(passages, query="Who?", budget=limited(ratio))
        assert 0.4 * ratio * whole < size(as_one) <= ratio * whole
        assert [bool(r.text) for r in as_one] == [True, False, False, False, False]
    assert alone.model_id.endswith("random weights")
    assert joined.model_id.endswith("random weights")


@pytest.mark.slow
@needs_package
def test_a_checkpoint_is_found_by_argument_and_by_environment_whatever_its_folder_is_called(tmp_path, monkeypatch):
    write_random(SMALL, [STORY], tmp_path / "mine")
    for variable in ("GIST_LLMLINGUA2", "GIST_LLMLINGUA2_SMALL"):
        monkeypatch.delenv(variable, raising=False)
    given = llmlingua2_small(str(tmp_path / "mine"))
    monkeypatch.setenv("GIST_LLMLINGUA2_SMALL", str(tmp_path / "mine"))
    by_name = llmlingua2_small()
    assert given.model_id == by_name.model_id == f"llmlingua-2 ({tmp_path / 'mine'})"
    budget = limited(0.3)
    texts = [[r.text for r in system.compress(story(), budget=budget)] for system in (given, by_name)]
    assert texts[0] == texts[1]


@pytest.mark.slow
@needs_package
def test_llmlingua_runs_with_the_cache_of_today(tmp_path):
    write_causal(tmp_path)
    passages = [Passage("long", STORY * 4), Passage("short", STORY)]  # more than one of its steps of 200 tokens
    results = llmlingua(str(tmp_path)).compress(passages, query="Who?", budget=limited(0.4))
    whole = COUNT(f"{STORY * 4}\n\n{STORY}")
    assert 0.2 * whole < size(results) <= 0.4 * whole
    assert all(results[n].text for n in (0, 1))


@needs_package
@pytest.mark.parametrize("factory", [llmlingua2, llmlingua2_small])
def test_a_published_model_is_not_downloaded_unasked(factory, monkeypatch):
    for variable in ("GIST_LLMLINGUA2", "GIST_LLMLINGUA2_SMALL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("llmlingua.PromptCompressor", only_local)
    with pytest.raises(CheckpointError, match=r"not in the cache.*GIST_LLMLINGUA2(_SMALL)?=microsoft/llmlingua-2"):
        factory()


def only_local(model, *, model_config, **settings):
    assert model_config == {"trust_remote_code": False, "local_files_only": True}
    raise OSError("not in the cache")


def test_llmlingua_has_no_default_model(monkeypatch):
    monkeypatch.delenv("GIST_LLMLINGUA", raising=False)
    with pytest.raises(CheckpointError, match="GIST_LLMLINGUA="):
        llmlingua()


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "llmlingua", None)
    with pytest.raises(MissingExtraError, match="pip install llmlingua"):
        llmlingua2("any")


def write_causal(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([STORY], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=256, **TINY)
    LlamaForCausalLM(config).save_pretrained(folder)


STUB = '''
import torch
from transformers import PretrainedConfig, PreTrainedModel


class Config(PretrainedConfig):
    model_type = "stub"


class Model(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.post_init()

    def process(self, question, context, title="first_sentence", return_sentence_metrics=False):
        """As OpenProvence: one question, a list of sentences a passage, blank ones dropped."""
        assert isinstance(question, str) and title is None and return_sentence_metrics
        wanted = set(question.lower().strip("?").split())
        kept = [[s for s in own if s.strip()] for own in context][: getattr(self.config, "most", None)]
        found = [[len(wanted & set(s.lower().split())) / 10 for s in own] for own in kept]
        return {"sentence_probabilities": found, "pruned_context": ["" for _ in context]}
'''


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A checkpoint whose code is beside its weights, as transformers runs it; OpenProvence's own cannot be had here."""

    def write(**settings):
        import torch
        from safetensors.torch import save_file

        monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
        folder = tmp_path / "stub"
        folder.mkdir()
        (folder / "modeling.py").write_text(STUB)
        auto = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
        (folder / "config.json").write_text(json.dumps({"model_type": "stub", "auto_map": auto, **settings}))
        save_file({"weight": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
        return str(folder)

    return write


def test_openprovence_rates_the_sentences_that_all_systems_choose_from(stub, monkeypatch):
    monkeypatch.setenv("GIST_OPENPROVENCE", stub())
    system = openprovence()
    passages = [Passage("1", STORY), Passage("empty", ""), Passage("2", "Nobody came. The almond tart was gone.")]
    query, budget = "almond tart newspaper?", limited(0.5)
    results = system.compress(passages, query=query, budget=budget)
    assert "almond tart, and people came" in results[0].text
    assert "almond tart was gone" in results[2].text
    assert results[1].text == ""
    assert size(results) <= 0.5 * COUNT("\n\n".join(p.text for p in passages if p.text))
    assert results[2].units[1].score == pytest.approx(0.2)
    assert system.compress(passages, query=None, budget=budget)[1].text == ""


def test_openprovence_that_rates_something_else_fails(stub):
    system = openprovence(stub(most=1))
    with pytest.raises(CompressionError, match="rated 4 of 6 sentences"):
        passages = [Passage("1", STORY), Passage("2", "Nobody came. The tart was gone.")]
        system.compress(passages, query="Who?", budget=limited(0.5))


def test_no_code_of_a_checkpoint_runs_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("GIST_OPENPROVENCE", raising=False)
    with pytest.raises(CheckpointError, match=r"whose Python code will run on this machine.*GIST_OPENPROVENCE="):
        openprovence()
    with pytest.raises(CheckpointError, match=r"cannot be loaded.*GIST_OPENPROVENCE=FOLDER"):
        openprovence(str(tmp_path))


def test_a_model_without_its_method_is_told(tmp_path):
    write_causal(tmp_path)
    with pytest.raises(CheckpointError, match=r"is a LlamaModel.*process\(\)"):
        openprovence(str(tmp_path))
