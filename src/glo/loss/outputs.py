"""What a model returns, as a tensor of logits, with labels that fit it.

A Hugging Face `Trainer` calls a loss with the model's outputs and its labels.  Outputs that are no tensor have their logits
as the attribute `logits`, under the key "logits", or in the first place of a tuple.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from glo.errors import ConfigError
from glo.records import Link

# Transformers' outputs for every token, by a part of the class's name, whose labels are at the place of their logits.
# Those of a causal language model are not: most of them shift the labels by one token, some (BartForCausalLM) do not.
ALIGNED = ("TokenClassifier", "MaskedLM", "Seq2SeqLM")


def logits_and_labels(outputs: object, labels: object, link: Link) -> tuple[Tensor, Tensor]:
    """The logits of `outputs` and `labels` in PyTorch's layout: the classes are dimension 1.

    Args:
        outputs: an object with the attribute `logits`, a mapping with the key "logits", or a tuple that begins with logits.
        labels: a tensor; it is moved to the device of the logits.
        link: with another link than softmax, the single output of a regression or yes-no question may lack in the labels.

    Shape:
        Logits (N, C) and (N, C, d1, d2, ...) stay as they are.  Logits of three dimensions are (N, T, C) if they are an
        attribute, as in transformers; otherwise the labels decide between (N, T, C) and (N, C, T).

    Raises:
        ConfigError: if there are no logits or labels, or if it is not certain which label belongs to which logits.
    """
    logits = _logits(outputs)
    if not isinstance(labels, Tensor):
        raise ConfigError(f"labels are a tensor, not {type(labels).__name__}: do the batches have the key 'labels'?")
    labels = labels.to(logits.device)
    if link is Link.SIGMOID and bool((labels < 0).any()):
        raise ConfigError(
            "a label below 0, such as -100, for the sigmoid link: it has no ignore_index, and labels from 0 to 1"
        )
    if link is not Link.SOFTMAX and logits.shape == (*labels.shape, 1):
        return logits.squeeze(-1), labels
    if logits.dim() == 3:
        if not _classes_are_last(outputs, logits, labels):
            return logits, labels
        logits = logits.movedim(-1, 1)
        labels = labels.movedim(-1, 1) if labels.dim() == 3 else labels
    if link is Link.SOFTMAX and logits.dim() > 1 and logits.shape[1] == 1:
        raise ConfigError("the softmax of a single output is 1, whatever the output: use link='sigmoid' or link='identity'")
    return logits, labels


def _logits(outputs: object) -> Tensor:
    logits = getattr(outputs, "logits", None)
    if logits is None and isinstance(outputs, Mapping):
        logits = outputs.get("logits")
    elif logits is None and isinstance(outputs, tuple | list) and outputs:
        logits = outputs[0]
    if not isinstance(logits, Tensor):
        raise ConfigError(
            f"no logits in {type(outputs).__name__}: give a tensor, an object with the attribute logits, a dict with the "
            "key 'logits', or a tuple that begins with them"
        )
    if logits.dim() == 0:
        raise ConfigError("the first of these outputs is a single number, such as a loss, and not the logits")
    return logits


def _classes_are_last(outputs: object, logits: Tensor, labels: Tensor) -> bool:
    """Whether logits of three dimensions are (N, T, C), and not (N, C, T)."""
    if hasattr(outputs, "logits"):
        kind = type(outputs)
        if kind.__module__.startswith("transformers") and not any(part in kind.__name__ for part in ALIGNED):
            raise ConfigError(
                f"{kind.__name__}: whether its labels are to be shifted by one token depends on the model.  Give tensors: "
                "loss(outputs.logits[:, :-1].transpose(1, 2), labels[:, 1:], num_items_in_batch) shifts them"
            )
        return True
    last, second = (labels.shape == shape for shape in (logits.shape[:2], logits.shape[::2]))
    if last == second:
        raise ConfigError(
            f"logits of shape {tuple(logits.shape)} and labels of shape {tuple(labels.shape)} do not show which dimension "
            "is the classes: give a tensor of shape (N, C, T)"
        )
    return last
