#include "json_list.h"

#include <stdlib.h>
#include <string.h>

static const char* skip_space(const char* at) { return at + strspn(at, " \t\r\n"); }

int read_numbers(const char* json, double* numbers, int count) {
  int i;
  json = skip_space(json);
  for (i = 0; i < count; i++) {
    char* end;
    if (*json != (i == 0 ? '[' : ',')) {
      return 0;
    }
    numbers[i] = strtod(json + 1, &end);
    if (end == json + 1) {
      return 0;
    }
    json = skip_space(end);
  }
  return *json == ']';
}

/* Reads the four digits of \uXXXX; -1 if they are none. */
static long read_unit(const char* at) {
  char digits[5] = "";
  strncat(digits, at, 4);
  return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* Writes a code point as UTF-8; returns its bytes, at most 4. */
static size_t write_utf8(long code, char* bytes) {
  const int extra = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const int first[] = {0x00, 0xC0, 0xE0, 0xF0};
  int i;
  bytes[0] = (char)(first[extra] | (int)(code >> (6 * extra)));
  for (i = 1; i <= extra; i++) {
    bytes[i] = (char)(0x80 | (int)((code >> (6 * (extra - i))) & 0x3F));
  }
  return (size_t)extra + 1;
}

/* Decodes the escape behind a backslash; returns where the text goes on, or NULL. */
static const char* read_escape(const char* at, char* bytes, size_t* count) {
  static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char* letter = *at ? strchr(letters, *at) : NULL;
  long code, low;
  if (letter != NULL) {
    bytes[0] = meanings[letter - letters];
    *count = 1;
    return at + 1;
  }
  code = *at == 'u' ? read_unit(at + 1) : -1;
  if (code < 0) {
    return NULL;
  }
  at += 5;
  if (code >= 0xD800 && code < 0xDC00 && at[0] == '\\' && at[1] == 'u') { /* a pair makes one code point */
    low = read_unit(at + 2);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at += 6;
    }
  }
  *count = write_utf8(code, bytes);
  return at;
}

/* Reads a string from behind its opening quote; returns what is behind the closing one, or NULL. */
static const char* read_quoted(const char* at, char* text, size_t size) {
  size_t used = 0;
  int full = 0;
  while (*at != '"') {
    char bytes[4] = {*at};
    size_t count = 1;
    if (*at == '\0') {
      return NULL;
    }
    at = *at == '\\' ? read_escape(at + 1, bytes, &count) : at + 1;
    if (at == NULL) {
      return NULL;
    }
    full = full || used + count >= size;
    if (!full) {
      memcpy(text + used, bytes, count);
      used += count;
    }
  }
  text[used] = '\0';
  return at + 1;
}

int read_string(const char* json, int position, char* text, size_t size) {
  int i;
  json = skip_space(json);
  for (i = 0; *json == (i == 0 ? '[' : ','); i++) {
    json = skip_space(json + 1);
    json = *json == '"' ? read_quoted(json + 1, text, size) : NULL;
    if (json == NULL) {
      return 0;
    }
    if (i == position) {
      return 1;
    }
    json = skip_space(json);
  }
  return 0;
}
