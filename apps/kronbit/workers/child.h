// A process with pipes to its stdin, stdout and stderr, in a session of its own: Ctrl-C in the terminal reaches the
// program that started it only, there is no terminal where it could ask and wait for ever, and it is killed with
// everything it started.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tensor/io/file.h"

namespace kronbit::app {

class Child {
 public:
  /// Starts `file` (looked up in PATH) with these arguments, the first being its name. Throws: Error.
  Child(const std::string& file, std::vector<std::string> arguments);
  /// Kills what still runs, and waits for it.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Requires: text far smaller than a pipe holds (64 KiB), before anything else was written. A child that is gone
  /// already shows in its status.
  void write(const std::string& text);
  void close_input() { in_.close(); }

  /// The pipes that something may come out of.
  void add_polled(std::vector<pollfd>& polled) const;
  /// Takes what is in the pipes, without waiting. True when the process has ended and everything it wrote is read, even
  /// if something it started still holds the pipes.
  bool ended();
  const std::string& output() const { return out_.text; }  ///< its end, when there is very much
  const std::string& errors() const { return err_.text; }
  int status() const { return *status_; }  ///< as waitpid(). Requires: ended()
  void signal(int number) const;           ///< to the whole group, while the process has not ended

 private:
  struct Stream {
    Descriptor fd;
    bool open = true;
    std::string text;
    void read();
  };
  pid_t pid_ = -1;
  Descriptor in_;
  Stream out_, err_;
  std::optional<int> status_;
};

}  // namespace kronbit::app
