// Table 2 of the paper: ResNet18, VGG11 and VGG16 on CIFAR-10, Chebyshev series of four weights.
#include "apps/experiments/common/tables.h"

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "table2", "Table 2 of the paper: bits drawn by Chebyshev series of four weights",
                        [](Experiment& experiment) {
                          return network_table(experiment,
                                               {.title = "Table 2: Chebyshev series of four weights on CIFAR-10",
                                                .curve = "chebyshev:4",
                                                .paper = &table2(),
                                                .found_rows = {0},
                                                .quick_nets = {"vgg11", "vgg16"}});
                        });
}
