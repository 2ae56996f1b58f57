/* The events of the bench, the same for the load generator (C++) and for the SPI module (C). */
#pragma once

#include <stdint.h>
#include <string.h>

enum { id_bits = 20, id_digits = 7, name_count = 16 };

static const char *const bench_first_names[name_count] = {
    "Alexandra", "Bartholomew", "Catherine", "Dominic",  "Eleanor", "Ferdinand", "Gwendolyn", "Harrison",
    "Isabella",  "Jonathan",    "Katharina", "Leopold", "Marianne", "Nathaniel", "Octavia",   "Penelope"};
static const char *const bench_last_names[name_count] = {
    "Abernathy", "Blackwood", "Castellano", "Donaldson", "Eisenhower", "Fitzgerald", "Goldsmith", "Hutchinson",
    "Ivanovich", "Johansson", "Kowalski",   "Lindqvist", "Montgomery", "Nakamura",   "O'Sullivan", "Papadopoulos"};

#define BENCH_ID_PREFIX "contact-"
#define BENCH_EXTERNAL_ID_PREFIX "crm-account-"
#define BENCH_EMAIL_PREFIX "customer."
#define BENCH_EMAIL_SUFFIX "@mail.example.com"

/*
 * All ids of so many bits (11 to 23) in an order without order, each once in 2^bits events. With id_bits that
 * is once in a million, and the table holds the even ones before.
 */
static inline uint32_t bench_nth_id(uint64_t n, int bits)
{
    const uint32_t mask = (1U << bits) - 1;
    uint32_t x = (uint32_t)n & mask;

    x = (x * 0x9E375u + 0x5A5A5u) & mask;
    x ^= x >> 11;
    x = (x * 0xB5297u) & mask;
    x ^= x >> 9;
    x = (x * 0xC2B2Du) & mask;
    return x ^ (x >> 10);
}

static inline void bench_write_digits(char *to, uint32_t id)
{
    for (int i = id_digits - 1; i >= 0; i--, id /= 10)
        to[i] = (char)('0' + id % 10);
}
