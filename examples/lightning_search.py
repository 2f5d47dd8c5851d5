"""A search whose trainings are Lightning's `Trainer.fit`: the objective fits a module with the loss of its trial."""

import logging

import lightning
import torch
from sklearn.datasets import load_digits

import glo

logging.captureWarnings(True), logging.disable(logging.WARNING)  # else each Trainer names its devices and gives advice
data = [(torch.tensor(image).float() / 16, label) for image, label in zip(*load_digits(return_X_y=True), strict=True)]


class Classifier(lightning.LightningModule):
    def training_step(self, batch):
        return self.loss(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def objective(trial: glo.Trial) -> float:
    lightning.seed_everything(trial.seed, verbose=False)
    model = Classifier()
    model.network, model.loss = torch.nn.Linear(64, 10), trial.loss()
    lightning.Trainer(max_epochs=3, barebones=True).fit(model, torch.utils.data.DataLoader(data[:1000], 50, shuffle=True))
    return sum(model.network(image).argmax().item() == label for image, label in data[1000:]) / len(data[1000:])


best = glo.Study(objective, name="lightning", classes=10).search(trials=15).best
print("best loss:", best.expression, "validation accuracy:", round(best.fitness, 3))
