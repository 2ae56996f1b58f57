/*
 * A disk in the cloud: each fdatasync of a file in pg_wal takes SLOW_FSYNC_US microseconds (2000) longer.
 * For LD_PRELOAD of a server that this bench has started, and of nothing else. The real call comes first,
 * so what the server believes to be durable is durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int (*real_fdatasync)(int);
static long delay_us = 2000;

__attribute__((constructor)) static void look_up(void)
{
    const char *text = getenv("SLOW_FSYNC_US");

    real_fdatasync = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    if (text)
        delay_us = atol(text);
}

static int is_wal(int file)
{
    char link[32];
    char path[4096];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof(path) - 1);
    if (length <= 0)
        return 0;
    path[length] = '\0';
    return strstr(path, "/pg_wal/") != NULL;
}

int fdatasync(int file)
{
    const int result = real_fdatasync(file);
    const int saved = errno;

    if (is_wal(file)) {
        struct timespec until;

        /* to a time, since a latch's signal ends a sleep */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += delay_us * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
    }
    errno = saved;
    return result;
}
