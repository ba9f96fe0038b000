// Table 1 of the paper: VGG16, VGG19, ResNet18 and GoogLeNet on CIFAR-10, linear Bezier curves.
#include "apps/experiments/common/tables.h"

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "table1",
                        "Table 1 of the paper: accuracy and size of found, reversed and uniform bits",
                        [](Experiment& experiment) {
                          return network_table(experiment, {.title = "Table 1: linear Bézier curves on CIFAR-10",
                                                            .curve = "bezier:1",
                                                            .paper = &table1(),
                                                            .found_rows = {0, 2},
                                                            .text_mode_rows = {0, 1, 5},
                                                            .text_mode_nets = {"vgg16", "resnet18"},
                                                            .quick_nets = {"vgg16", "resnet18"}});
                        });
}
