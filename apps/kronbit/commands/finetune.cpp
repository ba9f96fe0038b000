// kronbit finetune: trained weights, quantized with --bits and trained further.
#include "apps/kronbit/runs/training_run.h"

namespace kronbit::app {

void add_finetune(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<TrainingOptions>();
  options->schedule = "cosine";
  CLI::App* command = add_command(app, frame, "finetune", "quantize a trained network and train it further",
                                  "Example:\n  kronbit finetune --net resnet20 --weights w.safetensors --data "
                                  "cifar10:DIR --bits \"666 5555 44444 33333 22\" "
                                  "--epochs 3 --out runs/q\nThe packed network is RUN/best/model.safetensors.",
                                  [&frame, options] { return run_training(frame, "finetune", *options); });
  add_training_options(command, *options);
  command->get_option("--weights")->required();
  add_bits_options(command, options->bits, true);
}

}  // namespace kronbit::app
