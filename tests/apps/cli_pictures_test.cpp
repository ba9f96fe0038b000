// Folders of pictures and the real program: read as they are, and what becomes of damaged ones, found before the work
// or by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "search/journal.h"
#include "tensor/rng.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A PNG of 32 x 32 random pixels.
std::string picture(uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  data::Image image{32, 32, std::vector<uint8_t>(32 * 32 * 3)};
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(rng.below(256));
  return data::png(image);
}

/// A PNG whose structure is whole, but whose pixels do not unpack.
std::string undecodable() {
  const std::string whole = picture(1);
  return whole.substr(0, 33) + data::png_chunk("IDAT", "no pixels at all") + data::png_chunk("IEND", "");
}

/// train/ and val/ of two classes, cat and dog, with pictures 0.png, 1.png, ... of different sizes in bytes.
fs::path two_classes(const std::string& name, size_t of_each = 4) {
  const fs::path folder = fresh(name);
  for (const char* split : {"train", "val"}) {
    for (size_t i = 0; i < 2 * of_each; ++i) {
      const fs::path below = folder / split / (i < of_each ? "cat" : "dog");
      fs::create_directories(below);
      write_file(below / (std::to_string(i) + ".png"), picture(i));
    }
  }
  return folder;
}

/// Of toy10 for two classes, random.
fs::path pet_weights() {
  const fs::path path = scratch() / "pets.safetensors";
  if (!fs::exists(path)) {
    nn::Network net = nn::build("toy10", {.classes = 2});
    net.initialize(3);
    nn::save_state_dict(net, path, {{"normalization", "imagenet"}});
  }
  return path;
}

Words data_of(const fs::path& folder) { return {"--data", "folder:" + folder.string(), "--threads", "1"}; }

Words train_on(const fs::path& folder, const fs::path& out, const Words& more = {}) {
  return with(with(words("train --net toy10 --epochs 2 --batch 4"), data_of(folder)),
              with({"--out", out.string()}, more));
}

Words search_on(const fs::path& folder, const fs::path& out, const Words& more = {}) {
  const Words fixed = words("search --net toy10 --probe 0 --tasks 0,1 --batch 4 --budget 3evals --final-top 1",
                            {"--weights", pet_weights().string(), "--out", out.string()});
  return with(with(fixed, data_of(folder)), more);
}

void damage(const fs::path& file) {
  const std::string whole = file_text(file);
  write_file(file, whole.substr(0, whole.size() - 20));
}

/// How many lines of the journal are of that event.
int64_t events(const fs::path& run, const std::string& event) {
  return std::ranges::count_if(search::read_journal(run).lines,
                               [&](const Json& line) { return line["event"] == event; });
}

TEST(Pictures, OwnOnesNeedNoSizesAndKeepTheirNames) {
  const fs::path own = two_classes("own", 10), run = own / "run", model = own / "model.safetensors";
  EXPECT_EQ(kronbit(train_on(own, run)).code, 0);
  const fs::path weights = run / "best/weights.safetensors";
  kronbit_json({"export", "--net", "toy10", "--bits", "4", "--weights", weights, "--out", model});
  const Json answer = kronbit_json({"run", model, own / "val/dog/11.png"});
  const Words names{"cat", "dog"};
  EXPECT_THAT(names, testing::Contains(answer["images"][0]["top5"][0]["name"].get<std::string>()));
  for (const fs::path& file : {weights, model})
    EXPECT_EQ(kronbit_json(with(words("eval --net toy10", {"--weights", file.string()}), data_of(own)))["images"], 20);
}

TEST(Pictures, FewAreOfAllClasses) {
  const fs::path folder = two_classes("spread", 2);
  for (const char* split : {"train", "val"}) {  // those of a class are the same
    for (const auto& [from, to] : {std::pair{"cat/0.png", "cat/1.png"}, {"dog/2.png", "dog/3.png"}})
      fs::copy_file(folder / split / from, folder / split / to, fs::copy_options::overwrite_existing);
  }
  const Words eval = with(words("eval --net toy10", {"--weights", pet_weights().string()}), data_of(folder));
  EXPECT_NEAR(kronbit_json(with(eval, {"--images", "2", "--image-size", "32"}))["loss"].get<double>(),
              kronbit_json(eval)["loss"].get<double>(), 1e-5);
}

TEST(Pictures, DamagedOnesAreNamedBeforeAnythingBegins) {
  const fs::path folder = two_classes("damaged"), out = folder / "run";
  const auto is_refused = [&](const std::string& file, const Words& arguments) {
    const std::string whole = file_text(folder / file);
    for (const std::string& bytes : {whole.substr(0, whole.size() - 20), std::string()}) {
      write_file(folder / file, bytes);
      refused(arguments, file + "]");
      refused(arguments, "(--skip-bad leaves damaged pictures out)");
      EXPECT_FALSE(fs::exists(out));
    }
    write_file(folder / file, whole);
  };
  const Words network{"--net", "toy10", "--weights", pet_weights().string()};
  const auto on_it = [&](const std::string& command) { return with(with(words(command), network), data_of(folder)); };
  for (const char* file : {"train/dog/7.png", "val/dog/7.png"}) {
    is_refused(file, train_on(folder, out));
    is_refused(file, search_on(folder, out));
  }
  is_refused("train/cat/2.png", with(on_it("finetune --bits 4 --epochs 1"), {"--out", out.string()}));
  is_refused("train/cat/2.png", with(on_it("sensitivity"), {"--out", out.string()}));
  is_refused("val/dog/5.png", on_it("eval"));
  is_refused("train/dog/5.png", on_it("eval --split train --validation test:2"));
  write_file(folder / "train/dog/5.png", "");
  const Ended of_val = kronbit(with(on_it("eval"), {"--skip-bad"}));
  EXPECT_EQ(of_val.code, 0) << of_val.err;
  EXPECT_THAT(of_val.err, Not(HasSubstr("left out"))) << "what is not read may be damaged";
  const fs::path model = scratch() / "pets4.safetensors";
  kronbit_json({"export", "--net", "toy10", "--bits", "4", "--weights", pet_weights(), "--out", model});
  is_refused("val/cat/1.png", with(words("verify", {model.string()}), data_of(folder)));
}

TEST(Pictures, OfManyDamagedOnesFiveAreListed) {
  const fs::path folder = two_classes("many"), out = folder / "run";
  for (const char* file : {"val/dog/5.png", "train/cat/0.png", "train/cat/1.png", "train/cat/2.png", "train/dog/4.png",
                           "train/dog/5.png", "val/cat/1.png"})
    damage(folder / file);
  for (const Words& arguments : {train_on(folder, out), search_on(folder, out)}) {
    refused(arguments, "7 of 16 pictures are damaged (--skip-bad leaves damaged pictures out): train/cat/0.png: ");
    const std::string said = kronbit(arguments).err;
    for (const char* file : {"cat/0.png", "cat/1.png", "cat/2.png", "dog/4.png", "dog/5.png"})
      EXPECT_THAT(said, HasSubstr("train/" + std::string(file) + ": the picture is truncated"));
    EXPECT_THAT(said, HasSubstr("; and 2 more"));
    EXPECT_THAT(said, Not(HasSubstr("val/")));
    EXPECT_FALSE(fs::exists(out));
  }
}

TEST(Pictures, SkipBadTrainsAsIfTheDamagedOnesWereNotThere) {
  const fs::path folder = two_classes("skipped"), out = folder / "run", removed = folder / "removed";
  refused(with(words("train --net toy10 --epochs 1 --data synthetic:50 --skip-bad"), {"--out", out.string()}),
          "[--skip-bad] wanted with --data folder:DIR only, got --data synthetic:50");
  damage(folder / "train/cat/1.png");
  write_file(folder / "val/dog/6.png", "");
  const Ended ended = kronbit(train_on(folder, out, {"--skip-bad"}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("2 damaged pictures are left out: train/cat/1.png; val/dog/6.png\n"));
  refused(train_on(folder, out, {"--resume"}), "train/cat/1.png");
  for (const char* file : {"train/cat/1.png", "val/dog/6.png"}) fs::remove(folder / file);
  refused(train_on(folder, out, {"--resume"}),
          "skip_bad: [\"train/cat/1.png\",\"val/dog/6.png\"] in the run, nothing now");
  EXPECT_EQ(kronbit(train_on(folder, removed)).code, 0);
  EXPECT_EQ(file_text(out / "best/weights.safetensors"), file_text(removed / "best/weights.safetensors"));
}

TEST(Pictures, SkipBadRefusesAClassWithoutPictures) {
  const fs::path folder = two_classes("no_class"), out = folder / "run";
  for (int i = 0; i < 4; ++i) damage(folder / "val/cat" / (std::to_string(i) + ".png"));
  const Ended ended = kronbit(search_on(folder, out, {"--skip-bad"}));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("val/cat] wanted at least one picture, got none but 4 that are left out"));
  EXPECT_FALSE(fs::exists(out));
}

TEST(Pictures, ASearchKeepsWhatItBeganWithoutAndItsWorkersDoToo) {
  const fs::path folder = two_classes("kept"), out = folder / "run", removed = folder / "removed";
  const std::string left = file_text(folder / "train/cat/1.png"), other = file_text(folder / "val/dog/6.png");
  damage(folder / "train/cat/1.png");
  const Ended ended = kronbit(search_on(folder, out, {"--skip-bad", "--workers", "2"}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("1 damaged picture is left out: train/cat/1.png\n"));
  const auto longer = [](const Words& arguments) { return with_flag(arguments, "--budget", "4evals"); };
  const Words search = search_on(folder, out, {"--skip-bad", "--resume"});
  EXPECT_EQ(kronbit(search_on(folder, out, {"--resume"})).code, 0) << "what is not given is the run's";
  write_file(folder / "val/dog/6.png", other.substr(0, other.size() - 20));
  refused(longer(search), "val/dog/6.png] the picture is truncated");
  refused(longer(search), "(damaged since the run began)");
  write_file(folder / "val/dog/6.png", other);
  write_file(folder / "train/cat/1.png", left);  // repaired, and nevertheless no part of this run
  EXPECT_EQ(kronbit(longer(search)).code, 0);
  fs::remove(folder / "train/cat/1.png");
  EXPECT_EQ(kronbit(search_on(folder, removed)).code, 0);
  EXPECT_EQ(kronbit(longer(search_on(folder, removed, {"--resume"}))).code, 0);
  EXPECT_EQ(essence(out), essence(removed));
}

TEST(Pictures, OneThatAWorkerCannotDecodeEndsTheSearchUntilItIsRepaired) {
  const fs::path folder = two_classes("worker"), out = folder / "run", unbroken = folder / "unbroken";
  const fs::path file = folder / "train/dog/7.png";
  const std::string whole = file_text(file);
  const Words all_training{"--validation", "test:2", "--quiet"};
  write_file(file, undecodable());
  for (int runs = 1; runs <= 2; ++runs) {
    const Ended ended = kronbit(search_on(folder, out, with(all_training, {"--resume"})));
    EXPECT_EQ(ended.code, 2);
    EXPECT_EQ(ended.error_lines(), runs) << ended.err;  // the second time also: going on
    EXPECT_THAT(ended.err, HasSubstr("train/dog/7.png] cannot decode the picture: "));
    EXPECT_THAT(ended.err, HasSubstr("nothing is lost, --resume goes on after the repair\n"));
    EXPECT_EQ(events(out, "failed"), 0);
    EXPECT_EQ(events(out, "input"), runs);
  }
  EXPECT_EQ(kronbit({"status", out.string()}).code, 0);
  EXPECT_EQ(kronbit({"report", out.string()}).code, 0);
  write_file(file, whole);
  const Ended ended = kronbit(search_on(folder, out, with(all_training, {"--resume"})));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(kronbit(search_on(folder, unbroken, all_training)).code, 0);
  EXPECT_EQ(essence(out), essence(unbroken));
  write_file(folder / "train/dog/6.png", picture(6) + "more bytes");  // one that no line of the journal names
  refused(search_on(folder, out, with(all_training, {"--resume"})), "fingerprint: \"crc32:");
}

TEST(Pictures, OneOfTheTestSplitCostsNothingThatWasComputed) {
  const fs::path folder = two_classes("test_split"), file = folder / "val/dog/7.png";
  const fs::path searched = folder / "searched", trained = folder / "trained";
  const std::string whole = file_text(file);
  write_file(file, undecodable());
  const Ended search = kronbit(search_on(folder, searched)), train = kronbit(train_on(folder, trained));
  for (const Ended& ended : {search, train}) {
    EXPECT_EQ(ended.code, 2);
    EXPECT_THAT(ended.err, HasSubstr("val/dog/7.png] cannot decode the picture: "));
  }
  EXPECT_EQ(events(searched, "evaluation"), 3);
  EXPECT_EQ(events(trained, "epoch"), 2);
  for (const fs::path& run : {searched, trained}) {
    EXPECT_EQ(kronbit({"status", run.string()}).code, 0);
    EXPECT_EQ(kronbit({"report", run.string()}).code, 0);
  }
  write_file(file, whole);
  EXPECT_EQ(kronbit(search_on(folder, searched, {"--resume"})).code, 0);
  EXPECT_EQ(kronbit(train_on(folder, trained, {"--resume"})).code, 0);
  EXPECT_EQ(events(searched, "evaluation"), 3);
  EXPECT_EQ(events(trained, "epoch"), 2);
  EXPECT_EQ(events(trained, "test"), 1);
}

TEST(Pictures, ATrainingKeepsItsStepsWhereOneCannotBeDecoded) {
  const fs::path folder = two_classes("steps"), out = folder / "run", unbroken = folder / "unbroken";
  const fs::path file = folder / "train/dog/7.png";
  const std::string whole = file_text(file);
  write_file(file, undecodable());
  const Words all_training{"--validation", "test:2"};
  EXPECT_EQ(kronbit(train_on(folder, out, all_training)).code, 2);
  EXPECT_TRUE(fs::exists(out / "checkpoint.safetensors"));
  EXPECT_EQ(events(out, "input"), 1);
  write_file(file, whole);
  EXPECT_EQ(kronbit(train_on(folder, out, with(all_training, {"--resume"}))).code, 0);
  EXPECT_EQ(kronbit(train_on(folder, unbroken, all_training)).code, 0);
  EXPECT_EQ(file_text(out / "best/weights.safetensors"), file_text(unbroken / "best/weights.safetensors"));
}

TEST(Pictures, AFileThatAnotherMachineLacksIsItsRefusal) {
  const fs::path folder = two_classes("elsewhere"), weights = folder / "own.safetensors", launcher = folder / "launch";
  fs::copy_file(pet_weights(), weights);
  write_file(launcher, "mv " + weights.string() + " " + weights.string() + ".away; \"$@\"; code=$?; mv " +
                           weights.string() + ".away " + weights.string() + "; exit $code\n");
  const Ended ended = kronbit(with_flag(search_on(folder, folder / "run", {"--launch", "sh " + launcher.string()}),
                                        "--weights", weights.string()));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("attempt 3 of an evaluation was refused: "));
  EXPECT_THAT(ended.err, HasSubstr("own.safetensors"));
}

}  // namespace
}  // namespace kronbit::app
