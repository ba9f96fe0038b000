// The two ways to run a plan, for the engine and for the one that times it.
#pragma once

#include <omp.h>

#include <span>

#include "quant/engine/plan.h"

namespace kronbit::quant {

/// All steps on the calling thread. after(step): called when it is done.
template <class After>
void run_alone(const Plan& plan, const Arena& arena, const After& after) {
  for (size_t s = 0; s < plan.steps().size(); ++s) {
    const int64_t items = plan.steps()[s]->items_of(plan);
    for (int64_t item = 0; item < items; ++item) plan.run(s, arena, item);
    after(s);
  }
}

/// Every step shared by as many threads as there are arenas: in the memory of the first one, each with its own scratch.
/// after(worker, step): called on every thread when it has left the barrier behind the step.
template <class After>
void run_shared(const Plan& plan, std::span<const Arena> arenas, const After& after) {
  if (arenas.size() == 1) {
    run_alone(plan, arenas[0], [&](size_t step) { after(size_t{0}, step); });
    return;
  }
#pragma omp parallel num_threads(static_cast <int>(arenas.size()))
  {
    const auto worker = static_cast<size_t>(omp_get_thread_num());
    const Arena arena{arenas[0].memory, arenas[worker].scratch};
    for (size_t s = 0; s < plan.steps().size(); ++s) {
      const int64_t items = plan.steps()[s]->items_of(plan);
#pragma omp for schedule(dynamic, 1)
      for (int64_t item = 0; item < items; ++item) plan.run(s, arena, item);
      after(worker, s);
    }
  }
}

}  // namespace kronbit::quant
