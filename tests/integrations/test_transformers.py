"""`Trainer(compute_loss_func=ExpressionLoss(...))` of Hugging Face transformers, on models of a few hundred parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.errors import ConfigError
from glo.loss import ExpressionLoss

transformers = pytest.importorskip("transformers", reason="pip install 'glo-torch[integrations]'")
pytest.importorskip("accelerate", reason="pip install 'glo-torch[integrations]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers, accelerate and what they import

TINY = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LENGTHS = (3, 5, 4, 2)  # of the four texts: no micro batch has as many tokens as another


def made(kind: Any, config: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config)


def bert(kind: str, **options: Any) -> nn.Module:
    return made(getattr(transformers, f"BertFor{kind}"), transformers.BertConfig(**TINY, **options))


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1, n_positions=8)
    return made(transformers.GPT2LMHeadModel, config).eval()


def rows(labels: str = "tokens") -> list[dict[str, Tensor]]:
    """Four texts of five tokens, of which some are padding, with labels for tokens, texts, or several for each text."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for index, length in enumerate(LENGTHS):
        tokens = torch.randint(1, 20, (5,), generator=generator)
        of_tokens = torch.randint(3, (5,), generator=generator)
        of_tokens[length:] = -100
        several = (torch.rand(3, generator=generator) < 0.5).float()
        label = {"tokens": of_tokens, "texts": torch.tensor(index % 3), "several": several, "number": several.sum()}[labels]
        found.append({"input_ids": tokens, "attention_mask": (torch.arange(5) < length).long(), "labels": label})
    return found


def trainer(model: nn.Module, loss: Any, folder: Path, labels: str = "tokens", batch: int = 4, **options: Any) -> Any:
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=4 // batch,
        max_steps=2,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0.0,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
        **options,
    )
    data = rows(labels)
    return transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data, compute_loss_func=loss)


def trained(model: nn.Module, *arguments: Any, **options: Any) -> tuple[list[Tensor], float]:
    """Parameters after two steps of SGD, and the loss that the trainer logs for the first one."""
    one = trainer(model, *arguments, **options)
    one.train()
    return [parameter.detach() for parameter in model.parameters()], one.state.log_history[0]["loss"]


@pytest.mark.parametrize("expression", ["x*log(y)", "baikal"])
def test_accumulation_over_micro_batches_of_unequal_tokens_is_one_batch(tmp_path: Path, expression: str) -> None:
    loss = ExpressionLoss(expression)
    whole, value = trained(bert("TokenClassification", num_labels=3), loss, tmp_path)
    for batch in (1, 2):
        parts, of_parts = trained(bert("TokenClassification", num_labels=3), loss, tmp_path, batch=batch)
        torch.testing.assert_close(parts, whole)
        assert of_parts == pytest.approx(value)
    unmoved = list(bert("TokenClassification", num_labels=3).parameters())
    assert max(float((a - b).abs().max()) for a, b in zip(whole, unmoved, strict=True)) > 1e-3


@pytest.mark.parametrize(
    ("kind", "labels", "options", "loss"),
    [
        ("TokenClassification", "tokens", {"num_labels": 3}, ExpressionLoss("x*log(y)")),
        ("SequenceClassification", "texts", {"num_labels": 3}, ExpressionLoss("x*log(y)")),
        (
            "SequenceClassification",
            "several",
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            ExpressionLoss("binary_cross_entropy", link="sigmoid", class_reduction="mean"),
        ),
        ("SequenceClassification", "number", {"num_labels": 1}, ExpressionLoss("mse", link="identity")),
    ],
    ids=["tokens", "texts", "several labels", "regression"],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_is_the_loss_of_the_model(
    tmp_path: Path, kind: str, labels: str, options: dict[str, Any], loss: ExpressionLoss, batch: int
) -> None:
    """For one batch, and for micro batches; the evaluation too."""
    expected, value = trained(bert(kind, **options), None, tmp_path, labels)
    found, of_loss = trained(bert(kind, **options), loss, tmp_path, labels, batch)
    torch.testing.assert_close(found, expected)
    assert of_loss == pytest.approx(value, rel=1e-5)
    evaluations = [trainer(bert(kind, **options), each, tmp_path, labels).evaluate()["eval_loss"] for each in (None, loss)]
    assert evaluations[1] == pytest.approx(evaluations[0], rel=1e-5)


def test_batch_with_as_many_tokens_as_classes(tmp_path: Path) -> None:
    results = [
        trained(bert("TokenClassification", num_labels=5), loss, tmp_path) for loss in (None, ExpressionLoss("x*log(y)"))
    ]
    torch.testing.assert_close(results[1], results[0])


def test_outputs_as_tuples(tmp_path: Path) -> None:
    found = trained(bert("TokenClassification", num_labels=3, return_dict=False), ExpressionLoss("baikal"), tmp_path)
    expected = trained(bert("TokenClassification", num_labels=3), ExpressionLoss("baikal"), tmp_path)
    torch.testing.assert_close(found, expected)


def test_bfloat16(tmp_path: Path) -> None:
    exact = trained(bert("TokenClassification", num_labels=3), ExpressionLoss("baikal"), tmp_path)[1]
    rounded = trained(bert("TokenClassification", num_labels=3), ExpressionLoss("baikal"), tmp_path, bf16=True)[1]
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)


def test_a_masked_language_model_has_its_labels_in_place() -> None:
    model, labels = bert("MaskedLM").eval(), torch.tensor([[3, -100, 5, -100, 1]])
    outputs = model(input_ids=torch.tensor([[1, 2, 3, 4, 5]]), labels=labels)
    torch.testing.assert_close(ExpressionLoss("x*log(y)")(outputs, labels), outputs.loss)


def test_a_causal_language_model_is_refused_with_the_code_that_shifts() -> None:
    """A loss that did not shift the labels would teach a model to copy its input."""
    model, tokens, loss = gpt2(), torch.tensor([[1, 2, 3, 4, 5]]), ExpressionLoss("x*log(y)")
    labels, num_items_in_batch = tokens.masked_fill(tokens == 2, -100), 3
    outputs = model(input_ids=tokens, labels=labels)
    with pytest.raises(ConfigError, match="shifted by one token depends on the model") as refused:
        loss(outputs, labels)
    assert "loss(outputs.logits[:, :-1].transpose(1, 2), labels[:, 1:], num_items_in_batch)" in str(refused.value)
    value = loss(outputs.logits[:, :-1].transpose(1, 2), labels[:, 1:], num_items_in_batch)
    torch.testing.assert_close(value, outputs.loss)


def test_a_model_that_holds_a_loss_is_saved_and_loaded(tmp_path: Path) -> None:
    class WithLoss(transformers.BertForSequenceClassification):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.loss = ExpressionLoss("baikal", weight=[1.0, 2.0, 3.0])
            self.post_init()

    saved = made(WithLoss, transformers.BertConfig(**TINY, num_labels=3))
    saved.save_pretrained(tmp_path)  # pyright: ignore[reportCallIssue]
    loaded = WithLoss.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.state_dict(), saved.state_dict(), rtol=0, atol=0)
