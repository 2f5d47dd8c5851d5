"""`ExpressionLoss` in a LightningModule: fit, checkpoint, and a checkpoint of another loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from glo.loss import ExpressionLoss

lightning = pytest.importorskip("lightning", reason="pip install 'glo-torch[integrations]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of lightning and what it imports


class Classifier(lightning.LightningModule):
    def __init__(self, loss: str = "baikal", factors: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer, self.loss = nn.Linear(4, 3), ExpressionLoss(loss, weight=factors)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        inputs, labels = batch
        return self.loss(self.layer(inputs), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def batches() -> DataLoader[Any]:
    inputs = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(inputs, inputs[:, :3].argmax(1)), batch_size=4)


def fit(model: Any, folder: Path, epochs: int, checkpoint: Path | None = None, **options: Any) -> Any:
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(model, batches(), ckpt_path=checkpoint)
    return trainer


def made(*arguments: Any) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(*arguments)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fit_is_the_plain_loop(tmp_path: Path, precision: str) -> None:
    model, plain = made("baikal", (1.0, 2.0, 0.5)), made("baikal", (1.0, 2.0, 0.5))
    fit(model, tmp_path, 2, precision=precision)
    optimizer = plain.configure_optimizers()
    for inputs, labels in [*batches(), *batches()]:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            value = plain.loss(plain.layer(inputs), labels)
        value.backward()
        optimizer.step()
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    whole, first, second = made(), made(), made()
    fit(whole, tmp_path, 3)
    path = tmp_path / "model.ckpt"
    fit(first, tmp_path, 1).save_checkpoint(path)
    fit(second, tmp_path, 3, path)
    torch.testing.assert_close(second.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_makes_its_model_again(tmp_path: Path) -> None:
    """With its loss and the factors of the classes."""
    saved, path = made("mae", (1.0, 2.0, 0.5)), tmp_path / "model.ckpt"
    fit(saved, tmp_path, 1).save_checkpoint(path)
    loaded = Classifier.load_from_checkpoint(path)
    torch.testing.assert_close(loaded.state_dict(), saved.state_dict(), rtol=0, atol=0)
    assert repr(loaded.loss) == repr(saved.loss)


def test_a_training_does_not_go_on_with_another_loss(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    fit(made("baikal"), tmp_path, 1).save_checkpoint(path)
    with pytest.raises(RuntimeError, match=r"trained with the loss 'softmax: log\(y\) - x/y'"):
        fit(made("mae"), tmp_path, 2, path)
    model = made("mae")
    model.strict_loading = False
    fit(model, tmp_path, 2, path)
    assert not torch.equal(model.layer.weight, made("mae").layer.weight)
