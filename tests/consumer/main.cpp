// A program of somebody else that uses the installed library: how large is VGG16 with two bits everywhere?
#include <cstdio>

#include "nn/models/models.h"

int main() {
  const kronbit::nn::Network net = kronbit::nn::build("vgg16");
  std::printf("%s: %zu convolutions\n", net.name().c_str(), net.convolutions().size());
  return net.convolutions().size() == 13 ? 0 : 1;
}
