from .mlflow import MLflowCallback
from .tensorboard import TensorBoardCallback
from .tracker import Tracker, TrackerRun
from .wandb import WandbCallback

__all__ = ["MLflowCallback", "TensorBoardCallback", "Tracker", "TrackerRun", "WandbCallback"]
