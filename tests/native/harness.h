// The little that these tests need of a test framework.

#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace rbnn::test {

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& all_tests();

// Counts and prints a failure of the running test.
void fail(const char* file, int line, const std::string& what);

// Adds to the digest that is printed at the end: of what every machine must compute alike.
void digest(std::uint32_t value);

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

}  // namespace rbnn::test

#define RBNN_TEST(name)                                                          \
  static void test_##name();                                                     \
  static const rbnn::test::Registration registration_##name(#name, test_##name); \
  static void test_##name()

#define RBNN_CHECK(condition, context)                                                             \
  do {                                                                                             \
    if (!(condition)) rbnn::test::fail(__FILE__, __LINE__, #condition " " + std::string(context)); \
  } while (false)
