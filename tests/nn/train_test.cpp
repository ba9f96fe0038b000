// Training against PyTorch's loss curve, exact resume, refused checkpoints, and runs that diverge.
#include "nn/train.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "data/image.h"
#include "nn/checkpoint.h"
#include "nn/models/builder.h"
#include "tensor/io/file.h"
#include "tests/nn/random_images.h"
#include "tests/nn/small_network.h"
#include "tests/nn/train_curve.h"
#include "tests/tensor/keep_threads.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::nn {
namespace {

TEST(TrainingCurve, FollowsPyTorch) {
  Network net = curve_start();
  expect_curve(net, KRONBIT_SOURCE_DIR "/tests/nn/golden/train_curve.txt", std::vector<double>(21, 2e-4));
}

TEST(TrainingCurve, FollowsPyTorchInBf16) {
  Network net = curve_start();
  expect_curve(net, KRONBIT_SOURCE_DIR "/tests/nn/golden/train_curve.txt", std::vector<double>(21, 3e-3), DType::BF16);
}

/// Without batch normalization: two convolutions and a linear layer, their first weights times these factors.
Network plain_network(float conv1, float conv2, float linear) {
  Builder b("plain", 16, 10);
  const int x = b.conv("conv2", b.conv("conv1", kInput, {.channels = 8}), {.channels = 8});
  b.linear("linear", b.global_avg_pool("pool", x), 10);
  Network net = b.take();
  net.initialize(1);
  for (const auto& [name, factor] :
       {std::pair("conv1.weight", conv1), {"conv2.weight", conv2}, {"linear.weight", linear}})
    for (int64_t i = 0; i < weight(net, name).count(); ++i) weight(net, name).data<float>()[i] *= factor;
  return net;
}

/// Of the trainable parameters alone: running statistics move with every forward pass.
std::vector<float> weights_of(const Network& net) {
  std::vector<float> weights;
  for (const Parameter& p : net.parameters())
    if (p.var.requires_grad())
      for (const float v : p.var.value().values()) weights.push_back(v);
  return weights;
}

class TrainerTest : public testing::Test {
 protected:
  static Trainer trainer(Network& net, const TrainOptions& options = kOptions) {
    return Trainer(net, random_images(96), data::kCifar10, options);
  }

  /// 9 steps of 6 per epoch, the rate falling along a cosine.
  static TrainOptions make_options() {
    TrainOptions o;
    o.epochs = 1.5;
    o.batch = 16;
    o.optimiser = Sgd{.lr = 0.1, .weight_decay = 1e-4};
    o.schedule.kind = Schedule::Kind::Cosine;
    o.clip_gradients = 0.5;
    o.label_smoothing = 0.1;
    return o;
  }
  inline static const TrainOptions kOptions = make_options();
  const KeepThreads threads_;
  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "checkpoint.safetensors";
};

TEST_F(TrainerTest, DoesWhatTheLoopByHandDoes) {
  Network net = small_network();
  Trainer run = trainer(net);

  Network by_hand = small_network();
  data::Loader loader(random_images(96), data::kCifar10, {.batch_size = 16, .seed = kOptions.seed, .training = true});
  Optimiser optimiser(by_hand.parameters(), kOptions.optimiser);
  for (int64_t step = 0; step < 3; ++step) {
    const data::Batch batch = loader.batch(0, step);
    optimiser.clear_gradients();
    RunContext context{.training = true, .seed = kOptions.seed, .step = static_cast<uint64_t>(step), .observe = {}};
    const Var logits = by_hand.forward(batch.images, context);
    const Var loss = softmax_cross_entropy(logits, batch.labels, kOptions.label_smoothing);
    const int64_t correct = count_correct(logits.value(), batch.labels, 1);
    backward(loss);
    EXPECT_GT(optimiser.clip_gradients(0.5), 0.5) << "nothing was clipped";
    const double rate = 0.1 * (1 + std::cos(std::acos(-1.0) * static_cast<double>(step) / 9)) / 2;
    optimiser.step(rate);

    const StepReport report = run.advance();
    EXPECT_EQ(report.loss, static_cast<double>(loss.value().data<float>()[0]));
    EXPECT_EQ(report.correct, correct);
    EXPECT_EQ(report.images, 16);
    EXPECT_DOUBLE_EQ(report.lr, rate);
    ASSERT_EQ(bits_of(net), bits_of(by_hand)) << "step " << step;
  }
}

// The unbroken run has one thread, the other two, and is interrupted in the middle of an epoch; both cross into the
// next.
TEST_F(TrainerTest, ResumesExactlyWithAnyNumberOfThreads) {
  for (const OptimiserOptions& rule :
       {OptimiserOptions(Sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4}), OptimiserOptions(Adam{.lr = 0.01})}) {
    TrainOptions options = kOptions;
    options.optimiser = rule;
    set_threads(1);
    Network unbroken = small_network();
    std::vector<double> losses;
    for (Trainer run = trainer(unbroken, options); !run.done();) losses.push_back(run.advance().loss);
    ASSERT_EQ(losses.size(), 9u);

    set_threads(2);
    {
      Network first = small_network();
      Trainer run = trainer(first, options);
      for (size_t i = 0; i < 4; ++i) EXPECT_EQ(run.advance().loss, losses[i]) << "step " << i;
      run.save(path_, {{"normalization", "x"}, {"step", "a note's own"}});
    }
    Network second = small_network(99);
    Trainer run = trainer(second, options);
    const auto notes = run.restore(path_);
    EXPECT_EQ(notes, (std::map<std::string, std::string>{{"normalization", "x"}, {"step", "a note's own"}}));
    EXPECT_EQ(run.step(), 4);
    for (size_t i = 4; i < 9; ++i) EXPECT_EQ(run.advance().loss, losses[i]) << "step " << i;
    EXPECT_TRUE(run.done());
    EXPECT_EQ(bits_of(second), bits_of(unbroken));
  }
}

TEST_F(TrainerTest, ARunThatIsDoneComesBackDone) {
  TrainOptions options = kOptions;
  options.epochs = 1.0 / 6;
  Network net = small_network();
  Trainer run = trainer(net, options);
  run.advance();
  run.save(path_);
  Trainer again = trainer(net, options);
  again.restore(path_);
  EXPECT_TRUE(again.done());
}

TEST_F(TrainerTest, RefusesCheckpointsOfOtherRuns) {
  Network net = small_network();
  Trainer run = trainer(net);
  run.advance();
  run.advance();
  run.save(path_);
  const std::vector<uint32_t> before = bits_of(net);

  std::vector<std::pair<std::string, TrainOptions>> others;
  const auto other = [&](const std::string& what, const auto& change) {
    TrainOptions options = kOptions;
    change(options);
    others.emplace_back(what, options);
  };
  other("seed", [](TrainOptions& o) { o.seed = 2; });
  other("steps", [](TrainOptions& o) { o.epochs = 2; });
  other("batch", [](TrainOptions& o) {
    o.batch = 32;
    o.epochs = 3;  // 9 steps too
  });
  other("lr", [](TrainOptions& o) { std::get<Sgd>(o.optimiser).lr = 0.1000001; });
  other("momentum", [](TrainOptions& o) { std::get<Sgd>(o.optimiser).momentum = 0.5; });
  other("weight decay", [](TrainOptions& o) { std::get<Sgd>(o.optimiser).weight_decay = 0; });
  other("nesterov", [](TrainOptions& o) { std::get<Sgd>(o.optimiser).nesterov = true; });
  other("optimiser", [](TrainOptions& o) { o.optimiser = Adam{.lr = 0.1}; });
  other("schedule", [](TrainOptions& o) { o.schedule.kind = Schedule::Kind::Constant; });
  other("warm-up", [](TrainOptions& o) { o.schedule.warmup_epochs = 1; });
  other("rise", [](TrainOptions& o) { o.schedule.rise = 0.4; });
  other("gamma", [](TrainOptions& o) { o.schedule.gamma = 0.2; });
  other("clip", [](TrainOptions& o) { o.clip_gradients = 0; });
  other("smoothing", [](TrainOptions& o) { o.label_smoothing = 0; });
  for (const auto& [what, options] : others) {
    Trainer wrong = trainer(net, options);
    EXPECT_THROW(wrong.restore(path_), InputError) << what;
    EXPECT_EQ(wrong.step(), 0) << what;
    EXPECT_EQ(bits_of(net), before) << what;
  }
  Trainer faster = trainer(net, others[3].second);
  EXPECT_THAT(message_of([&] { faster.restore(path_); }), testing::HasSubstr("the checkpoint is of another run: wanted "
                                                                             "\"small 9 steps, F32, batch 16, seed 1, "
                                                                             "sgd 0.1000001 "));

  Network another = small_network(4, 10, "another");
  EXPECT_THROW(trainer(another).restore(path_), InputError);
}

TEST_F(TrainerTest, ARefusedCheckpointChangesNothing) {
  Network net = small_network();
  Trainer run = trainer(net);
  run.advance();
  run.save(path_);
  const std::vector<std::byte> whole = read_file(path_, 1 << 24);
  const std::filesystem::path torn = folder_ / "torn.safetensors", empty = folder_ / "empty.safetensors";
  publish(torn, std::span(whole).first(whole.size() - 4));
  publish(empty, "");

  // A run in its middle, told to restore what it cannot, goes on as one that was not.
  Network undisturbed_net = small_network(8), disturbed_net = small_network(8);
  Trainer undisturbed = trainer(undisturbed_net), disturbed = trainer(disturbed_net);
  undisturbed.advance();
  disturbed.advance();
  EXPECT_THROW(disturbed.restore(torn), InputError);
  EXPECT_THROW(disturbed.restore(empty), InputError);
  EXPECT_THROW(disturbed.restore(folder_ / "nowhere.safetensors"), InputError);
  // The optimiser's state, read last, is the damaged part: one velocity has another shape.
  const auto meta = [&] {
    Network copy = small_network();
    return load_checkpoint(path_, copy);
  }();
  auto state = meta.optimiser_state;
  state["velocity.conv1.weight"] = Tensor::zeros({16, 3, 3, 2});
  save_checkpoint(torn, net, state, meta.meta);
  EXPECT_THROW(disturbed.restore(torn), InputError);

  EXPECT_EQ(disturbed.step(), 1);
  EXPECT_EQ(disturbed.advance().loss, undisturbed.advance().loss);
  EXPECT_EQ(bits_of(disturbed_net), bits_of(undisturbed_net));
}

TEST_F(TrainerTest, DivergenceEndsInAnErrorThatNamesALayer) {
  TrainOptions options = kOptions;
  options.epochs = 10;
  options.clip_gradients = 0;
  options.schedule = {};
  options.optimiser = Sgd{.lr = 1e9};
  Network net = small_network();
  Trainer run = trainer(net, options);
  std::vector<float> before;
  std::string message = "nothing was thrown";
  while (message == "nothing was thrown" && !run.done()) {
    before = weights_of(net);
    message = message_of<NumericalError>([&] { run.advance(); });
  }
  EXPECT_THAT(message, testing::MatchesRegex("\\[train\\] step [1-9][0-9]*: the (output|gradient) of [a-z0-9.]+ is not "
                                             "finite; try a lower --lr, or --clip"));
  EXPECT_EQ(weights_of(net), before);
  EXPECT_TRUE(std::all_of(before.begin(), before.end(), [](float v) { return std::isfinite(v); }));
}

TEST_F(TrainerTest, WeightsThatAreNotFiniteAreNotSaved) {
  Network net = small_network();
  Trainer run = trainer(net);
  run.advance();
  run.save(path_);
  const std::vector<std::byte> before = read_file(path_, 1 << 24);
  for (const char* name : {"linear.weight", "bn2.running_var"}) {
    const float kept = weight(net, name).data<float>()[3];
    weight(net, name).data<float>()[3] = std::numeric_limits<float>::infinity();
    EXPECT_THAT([&] { run.save(path_); }, testing::ThrowsMessage<NumericalError>(fmt::format(
                                              "[train] step 1: {} is not finite; try a lower --lr, or --clip", name)));
    weight(net, name).data<float>()[3] = kept;
  }
  EXPECT_EQ(read_file(path_, 1 << 24), before);
}

TEST_F(TrainerTest, AnOptimiserThatIsNotFiniteIsNotSaved) {
  Network net = plain_network(1e11f, 1e-21f, 1e20f);
  TrainOptions options = kOptions;
  options.optimiser = Adam{.lr = 1e-3};
  options.clip_gradients = 0;
  Trainer run = trainer(net, options);
  run.save(path_);
  const std::vector<std::byte> before = read_file(path_, 1 << 24);
  run.advance();  // gradients of 1e30, finite squares of 1e60 in their norm, but not in the second moments
  const std::vector<float> weights = weights_of(net);
  EXPECT_TRUE(std::all_of(weights.begin(), weights.end(), [](float v) { return std::isfinite(v); }));
  EXPECT_EQ(message_of<NumericalError>([&] { run.save(path_); }),
            "[train] step 1: the optimiser's second_moment.conv2.weight is not finite; try a lower --lr, or --clip");
  EXPECT_EQ(read_file(path_, 1 << 24), before);
}

TEST_F(TrainerTest, TheErrorNamesWhereItBegan) {
  const auto failure = [](const std::string& name, float value) {
    Network net = small_network();
    weight(net, name).data<float>()[5] = value;
    Trainer run = trainer(net);
    Network seen_once = net.clone();
    const std::string message = message_of<NumericalError>([&] { run.advance(); });
    EXPECT_EQ(run.step(), 0);
    // Looking for the layer has not moved the running statistics again.
    data::Loader loader(random_images(96), data::kCifar10, {.batch_size = 16, .seed = kOptions.seed, .training = true});
    seen_once.forward(loader.batch(0, 0).images, {.training = true, .seed = kOptions.seed});
    EXPECT_EQ(bits_of(net), bits_of(seen_once));
    return message;
  };
  const std::string end = " is not finite; try a lower --lr, or --clip";
  EXPECT_EQ(failure("conv2.weight", std::numeric_limits<float>::quiet_NaN()), "[train] step 0: conv2.weight" + end);
  EXPECT_EQ(failure("bn1.bias", std::numeric_limits<float>::infinity()), "[train] step 0: bn1.bias" + end);
  EXPECT_EQ(failure("bn2.weight", 3e38f), "[train] step 0: the output of bn2" + end);

  // Logits of 1e10 or so, but gradients of 1e40.
  Network net = plain_network(1e20f, 1e-30f, 1e20f);
  Trainer run = trainer(net);
  const std::vector<float> before = weights_of(net);
  EXPECT_EQ(message_of<NumericalError>([&] { run.advance(); }), "[train] step 0: the gradient of conv2.weight" + end);
  EXPECT_EQ(weights_of(net), before);
}

TEST_F(TrainerTest, TheErrorOfAnEvaluationNamesWhereItBegan) {
  const std::string end = " is not finite; try a lower --lr, or --clip";
  Network net = small_network();
  Trainer run = trainer(net);
  run.advance();
  const auto failure = [&] {
    return message_of<NumericalError>([&] { run.evaluate(random_images(40), data::kCifar10, 32); });
  };
  EXPECT_EQ(failure(), "nothing was thrown");
  // Steps of training take the statistics of their batch: running ones that are far off show here only.
  weight(net, "bn2.running_mean").data<float>()[5] = -3e38f;
  weight(net, "bn2.running_var").data<float>()[5] = 1e-20f;
  EXPECT_EQ(failure(), "[train] step 1: the output of bn2" + end);
  weight(net, "bn2.running_var").data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(failure(), "[train] step 1: bn2.running_var" + end);
}

TEST_F(TrainerTest, FractionsOfEpochs) {
  Network net = small_network();
  const std::vector<uint32_t> before = bits_of(net);
  TrainOptions options = kOptions;
  options.epochs = 0;
  Trainer none = trainer(net, options);
  EXPECT_EQ(none.steps(), 0);
  EXPECT_TRUE(none.done());
  none.save(path_);
  none.restore(path_);
  EXPECT_EQ(bits_of(net), before);

  options.epochs = 0.25;
  Trainer run = trainer(net, options);
  EXPECT_EQ(run.steps_per_epoch(), 6);
  EXPECT_EQ(run.steps(), 2);
  EXPECT_EQ(run.steps_in(0), 0);
  EXPECT_EQ(run.steps_in(0.001), 1);
  EXPECT_EQ(run.steps_in(0.5), 3);
  EXPECT_EQ(run.steps_in(1), 6);
  EXPECT_EQ(run.steps_in(1.5), 9);
  EXPECT_EQ(run.steps_in(100), 600);
  for (int64_t step = 1; step <= 2; ++step) {
    EXPECT_FALSE(run.done());
    run.advance();
    EXPECT_EQ(run.step(), step);
  }
  EXPECT_TRUE(run.done());
  EXPECT_ANY_THROW(run.advance());
}

TEST_F(TrainerTest, OptionsAndDataOutOfRangeAreRefused) {
  Network net = small_network();
  const auto refused = [&](const auto& change) {
    TrainOptions options = kOptions;
    change(options);
    EXPECT_THROW(trainer(net, options), InputError);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double epochs : {-1.0, nan, infinity}) refused([&](TrainOptions& o) { o.epochs = epochs; });
  for (const double smoothing : {-0.1, 1.0, nan}) refused([&](TrainOptions& o) { o.label_smoothing = smoothing; });
  for (const double clip : {-1.0, nan}) refused([&](TrainOptions& o) { o.clip_gradients = clip; });
  refused([](TrainOptions& o) { o.batch = 0; });
  refused([](TrainOptions& o) { o.precision = DType::F64; });
  for (const double wrong : {-0.1, nan, infinity}) {
    refused([&](TrainOptions& o) { o.schedule.gamma = wrong; });
    refused([&](TrainOptions& o) { o.schedule.rise = wrong; });
    refused([&](TrainOptions& o) { o.schedule.start_divisor = wrong; });
    refused([&](TrainOptions& o) { o.schedule.end_divisor = wrong; });
    refused([&](TrainOptions& o) { o.schedule.warmup_epochs = wrong; });
  }
  refused([](TrainOptions& o) { o.schedule.rise = 1.1; });
  refused([](TrainOptions& o) { o.schedule.start_divisor = 0; });
  refused([](TrainOptions& o) { o.schedule.end_divisor = 0; });
  refused([](TrainOptions& o) { o.optimiser = Sgd{.lr = -1}; });

  const auto message = [&](const data::Dataset& images) {
    return message_of([&] { Trainer(net, images, data::kCifar10, kOptions); });
  };
  EXPECT_EQ(message(random_images(96, 11)), "[train] classes: the network has 10, the data 11");
  EXPECT_EQ(message(random_images(96, 10, 20)), "[train] images: the network takes 16x16, the data has 20x20");
  EXPECT_EQ(message(random_images(96, 3)), "nothing was thrown");
}

// ---- evaluate() ----

}  // namespace
}  // namespace kronbit::nn
