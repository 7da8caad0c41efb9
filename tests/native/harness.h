// The little that these tests need of a test framework.

#pragma once

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

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

}  // namespace rbnn::test

#define RBNN_TEST(name)                                                       \
  static void test_##name();                                                  \
  static const rbnn::test::Registration registration_##name(#name, test_##name); \
  static void test_##name()

#define RBNN_CHECK(condition, context)                                                      \
  do {                                                                                      \
    if (!(condition)) rbnn::test::fail(__FILE__, __LINE__, #condition " " + std::string(context)); \
  } while (false)
