/* mmlog.h for C++17: classes that own what they open, std::string_view in, results out. Nothing is thrown, and there is no library
   but libmmlog. mmlog(3) is the manual. */
#ifndef MMLOG_HPP
#define MMLOG_HPP

#include <mmlog.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mmlog {

/* What was wrong with a call: a code of mmlog.h, and a sentence. */
class Error {
 public:
  Error(int code, std::string text) : code_(code), text_(std::move(text)) {}
  int code() const noexcept { return code_; }
  const std::string &text() const noexcept { return text_; }
  /* Of this thread's last call. */
  static Error last() { return Error(mmlog_last_error(), mmlog_strerror_cur()); }

 private:
  int code_;
  std::string text_;
};

/* A value, or why there is none: which one, is asked before either is used. */
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : either_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : either_(std::in_place_index<1>, std::move(error)) {}
  explicit operator bool() const noexcept { return either_.index() == 0; }
  T &operator*() & noexcept { return *std::get_if<0>(&either_); }
  const T &operator*() const & noexcept { return *std::get_if<0>(&either_); }
  T &&operator*() && noexcept { return std::move(*std::get_if<0>(&either_)); }
  T *operator->() noexcept { return std::get_if<0>(&either_); }
  const T *operator->() const noexcept { return std::get_if<0>(&either_); }
  const Error &error() const noexcept { return *std::get_if<1>(&either_); }

 private:
  std::variant<T, Error> either_;
};

/* Of what has no value but to have worked. */
struct Done {};

/* How a log bounds itself: the fields of mmlog_policy_t, of which 0 is no rule. */
struct Policy : mmlog_policy_t {
  Policy() noexcept : mmlog_policy_t() { size = sizeof(mmlog_policy_t); }
};

/* How a log is opened: the fields of mmlog_options_t, of which 0 is the default. */
struct Options : mmlog_options_t {
  Options() noexcept : mmlog_options_t() { size = sizeof(mmlog_options_t); }
};

/* An open log, closed at the end of its life. Threads may share it. */
class Log {
 public:
  static Result<Log> open(const std::string &path, const Options &options = Options()) {
    if (path.find('\0') != std::string::npos) return Error(MMLOG_INVALID, "a path has no NUL");
    log_handle_t *handle = nullptr;
    return mmlog_open_with(path.c_str(), &options, &handle) == 0 ? Result<Log>(Log(handle)) : Error::last();
  }
  Log(const Log &) = delete;
  Log &operator=(const Log &) = delete;
  Log(Log &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Log &operator=(Log &&other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Log() { mmlog_close(handle_); }
  /* Says what the destructor cannot. */
  Result<Done> close() { return done(mmlog_close(std::exchange(handle_, nullptr))); }

  /* The position of the first byte. */
  Result<std::uint64_t> append(std::string_view message) {
    std::uint64_t at = 0;
    return given(mmlog_append(handle_, message.data(), message.size(), &at), at);
  }
  /* The parts are one message. */
  Result<std::uint64_t> append(std::initializer_list<std::string_view> parts) {
    std::vector<struct iovec> all;
    all.reserve(parts.size());
    for (std::string_view part : parts) all.push_back({const_cast<char *>(part.data()), part.size()});
    std::uint64_t at = 0;
    return given(mmlog_appendv(handle_, all.data(), static_cast<int>(all.size()), &at), at);
  }
  Result<std::uint64_t> append_durable(std::string_view message) {
    std::uint64_t at = 0;
    return given(mmlog_append_durable(handle_, message.data(), message.size(), &at), at);
  }
  /* Where ends what is durable. */
  Result<std::uint64_t> sync() {
    std::uint64_t at = 0;
    return given(mmlog_sync(handle_, &at), at);
  }
  Result<Done> trim() {
    mmlog_trim(handle_);
    return done(mmlog_last_error());
  }
  /* Where the current segment begins then. */
  Result<std::uint64_t> rotate() {
    std::uint64_t at = 0;
    return given(mmlog_rotate(handle_, &at), at);
  }
  /* Where the log begins then: by its own policy, or by these rules. */
  Result<std::uint64_t> prune() {
    std::uint64_t at = 0;
    return given(mmlog_prune(handle_, nullptr, &at), at);
  }
  Result<std::uint64_t> prune(const Policy &keep) {
    std::uint64_t at = 0;
    return given(mmlog_prune(handle_, &keep, &at), at);
  }
  Result<Policy> policy() {
    Policy found;
    return given(mmlog_policy_get(handle_, &found), found);
  }
  Result<Done> set_policy(const Policy &policy) { return done(mmlog_policy_set(handle_, &policy)); }
  Result<Done> housekeep() { return done(mmlog_housekeep(handle_)); }
  Result<std::string> status_json() {
    std::string text(4096, '\0');
    for (;;) {
      std::size_t len = 0;
      int code = mmlog_status_json(handle_, text.data(), text.size(), &len);
      text.resize(code == MMLOG_NO_ROOM ? len + 256 : len);
      if (code != MMLOG_NO_ROOM) return given(code, text);
    }
  }
  /* For the functions of mmlog.h. */
  log_handle_t *get() const noexcept { return handle_; }

 private:
  friend class Follower;
  explicit Log(log_handle_t *handle) noexcept : handle_(handle) {}
  static Result<Done> done(int code) { return given(code, Done()); }
  /* By reference: the call that fills the value may come behind it in the list of arguments. */
  template <class T>
  static Result<T> given(int code, const T &value) {
    return code == 0 ? Result<T>(value) : Error::last();
  }
  log_handle_t *handle_;
};

/* What comes next in a log; bytes until the follower's next call. */
struct Event {
  std::uint32_t kind; /* MMLOG_BYTES, ... */
  std::uint32_t pid;  /* of a hole */
  std::uint64_t start, end;
  std::string_view bytes;
};

/* Reads a log; one thread uses it at a time. */
class Follower {
 public:
  static Result<Follower> open(const std::string &path, std::uint64_t from = MMLOG_OLDEST, std::size_t buffer = 65536) {
    if (path.find('\0') != std::string::npos) return Error(MMLOG_INVALID, "a path has no NUL");
    mmlog_follower_t *follower = nullptr;
    int code = mmlog_follow_open(path.c_str(), from, &follower);
    return code == 0 ? Result<Follower>(Follower(follower, buffer)) : Error::last();
  }
  Follower(const Follower &) = delete;
  Follower &operator=(const Follower &) = delete;
  Follower(Follower &&other) noexcept
      : follower_(std::exchange(other.follower_, nullptr)), buffer_(std::move(other.buffer_)) {}
  Follower &operator=(Follower &&other) noexcept {
    std::swap(follower_, other.follower_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~Follower() { mmlog_follow_close(follower_); }

  Result<Event> next() {
    mmlog_event_t found = mmlog_event_t();
    found.size = sizeof found;
    if (mmlog_follow_next(follower_, buffer_.data(), buffer_.size(), &found) != 0) return Error::last();
    std::size_t len = found.kind == MMLOG_BYTES ? static_cast<std::size_t>(found.end - found.start) : 0;
    return Event{found.kind, found.pid, found.start, found.end, std::string_view(buffer_.data(), len)};
  }
  /* Whether something may be there; false after that time. */
  Result<bool> wait(std::chrono::milliseconds longest) {
    int code = mmlog_follow_wait(follower_, static_cast<std::uint64_t>(longest.count() < 0 ? 0 : longest.count()));
    if (code == MMLOG_TIMED_OUT) return false;
    return Log::given(code, true);
  }
  Result<Done> seek(std::uint64_t position) { return Log::done(mmlog_follow_seek(follower_, position)); }
  std::uint64_t position() const noexcept { return mmlog_follow_position(follower_); }

 private:
  Follower(mmlog_follower_t *follower, std::size_t buffer) : follower_(follower), buffer_(buffer) {}
  mmlog_follower_t *follower_;
  std::vector<char> buffer_;
};

}  // namespace mmlog

#endif
