// kronbit train: a network from its first weights (or from --weights) to a run folder.
#include "apps/kronbit/runs/training_run.h"

namespace kronbit::app {

void add_train(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<TrainingOptions>();
  options->tune.lr = "0.1";
  options->tune.weight_decay = "0.0005";
  CLI::App* command =
      add_command(app, frame, "train", "train a network in floating point",
                  "Examples:\n  kronbit train --net resnet20 --data cifar10:DIR --epochs 30 --out runs/fp32\n"
                  "  kronbit train --net vgg16 --data synthetic --epochs 5 --lr 0.05 --out runs/vgg\n"
                  "The weights are in RUN/best/weights.safetensors.",
                  [&frame, options] { return run_training(frame, "train", *options); });
  add_training_options(command, *options);
}

}  // namespace kronbit::app
