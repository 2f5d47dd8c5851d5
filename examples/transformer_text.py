"""A tiny transformer that classifies texts: most of the words of a text are of one of two kinds."""

import torch
from transformers import BertConfig, BertForSequenceClassification

import glo

torch.manual_seed(0)
texts = torch.randint(20, (2000, 9))  # made up: 9 of 20 words
classes = ((texts < 10).sum(1) > 4).long()
labels = torch.where(torch.rand(2000) < 0.1, 1 - classes, classes)  # 10 % of the labels are wrong
config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
config.update({"initializer_range": 0.1})  # for so short a training


def objective(trial: glo.Trial) -> float:
    torch.manual_seed(trial.seed)
    model, loss = BertForSequenceClassification(config), trial.loss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for batch in torch.randint(1000, (100, 50)):
        optimizer.zero_grad()
        loss(model(texts[batch]), labels[batch]).backward()  # of the model's outputs, the loss takes the logits
        optimizer.step()
    with torch.no_grad():
        return (model.eval()(texts[1000:]).logits.argmax(1) == classes[1000:]).double().mean().item()


study = glo.Study(objective, name="transformer", classes=2)
study.search(trials=12)
print("best loss:", study.best.expression, "validation accuracy:", round(study.best.fitness, 3))
