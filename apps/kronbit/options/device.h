// --device: what trains or runs a network, this processor or a GPU.
#pragma once

#include <memory>
#include <string>

#include "apps/kronbit/command.h"
#include "tensor/cuda/device.h"

namespace kronbit::app {

void add_device_option(CLI::App* command, std::string& device);
/// Throws: InputError unless it is one of the names, whether there is such a device here or not.
void check_device(const std::string& name);
/// cpu gives nullptr; cuda the GPU; simulated this processor in its place, thread by thread.
/// Throws: InputError for another name; Error that says why there is no GPU.
std::unique_ptr<Device> open_device(const std::string& name);

}  // namespace kronbit::app
