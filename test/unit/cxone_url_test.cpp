#include "cxone/url.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

using namespace std::string_literals;

const std::string not_absolute = "it is no absolute URL such as https://host/path";
const std::string other_scheme = "its scheme is neither https nor http";
const std::string has_credentials = "credentials have no place in a URL";
const std::string has_fragment = "a fragment has no meaning here";
const std::string not_secure = "secrets are only sent by https, but to this machine";

TEST(CxoneUrl, WhereSecretsMayBeSent)
{
    for (const char *url :
         {"https://api.example.com", "https://api.example.com/", "https://api.example.com:8443/a/b?c=d",
          "https://192.0.2.1/", "https://[2001:db8::1]:443/", "http://localhost:8080/x", "http://LOCALHOST/",
          "http://127.0.0.1:1/", "http://127.255.0.3", "http://127.1/", "http://[::1]:9/x",
          "http://[0:0:0:0:0:0:0:1]/"})
        EXPECT_EQ(problem_of_secret_url(url), "") << url;
}

TEST(CxoneUrl, WhereSecretsMayNotBeSent)
{
    for (const char *url : {"http://api.example.com/", "http://10.0.0.1/", "http://127.0.0.1.example.com/",
                            "http://localhost.example.com/", "http://[::2]/", "http://0.0.0.0/",
                            "http://[::ffff:192.0.2.1]/", "http://128.0.0.1/", "http://example.com/localhost",
                            "http://127.0.0.1x/", "http://127.evil.test/", "http://example.com?@127.0.0.1/"})
        EXPECT_EQ(problem_of_secret_url(url), not_secure) << url;
}

TEST(CxoneUrl, WhatIsNoWebUrl)
{
    for (const std::string &url : {""s,
                                   "/path"s,
                                   "api.example.com"s,
                                   "api.example.com/path"s,
                                   "//host/path"s,
                                   "https://"s,
                                   "https:"s,
                                   "https:///"s,
                                   "https://ho st/"s,
                                   "https://host/a b"s,
                                   " https://host/"s,
                                   "https://host/ "s,
                                   "https://host/\r\nX: y"s,
                                   "https://host/\n"s,
                                   "https://host/\0"s,
                                   "https://host/\x7F"s,
                                   "javascript:alert(1)"s,
                                   "https://host:99999/"s,
                                   "https://host:x/"s,
                                   "https://[::1/"s,
                                   "https://%00/"s}) {
        EXPECT_EQ(problem_of_secret_url(url), not_absolute) << url;
        EXPECT_EQ(problem_of_endpoint_url(url), not_absolute) << url;
    }
    for (const char *url : {"ftp://host/", "ws://host/", "httpss://host/"}) {
        EXPECT_EQ(problem_of_secret_url(url), other_scheme) << url;
        EXPECT_EQ(problem_of_endpoint_url(url), other_scheme) << url;
    }
    EXPECT_NE(problem_of_secret_url("file:///etc/passwd"), "");
}

TEST(CxoneUrl, CredentialsAndFragments)
{
    for (const char *url : {"https://user@host/", "https://user:password@host/", "https://:password@host/",
                            "http://user@localhost/", "https://localhost@example.com/"}) {
        EXPECT_EQ(problem_of_secret_url(url), has_credentials) << url;
        EXPECT_EQ(problem_of_endpoint_url(url), has_credentials) << url;
    }
    EXPECT_EQ(problem_of_secret_url("https://host/#a"), has_fragment);
    EXPECT_EQ(problem_of_endpoint_url("https://host#a"), has_fragment);
}

/* It would swallow the id that is appended. */
TEST(CxoneUrl, AnEmptyFragmentIsOneToo)
{
    EXPECT_EQ(problem_of_secret_url("https://host/api#"), has_fragment);
}

/* The client tells TLS by the letters "https://". */
TEST(CxoneUrl, FormsThatTheClientTakesForPlainHttp)
{
    EXPECT_NE(problem_of_secret_url("HTTPS://api.example.com/"), "");
    EXPECT_NE(problem_of_secret_url("https:/api.example.com/"), "");
}

TEST(CxoneUrl, OnlyFourNumbersAreLoopback)
{
    EXPECT_EQ(problem_of_secret_url("http://127.0.0.1.2/"), not_secure);
    EXPECT_EQ(problem_of_secret_url("http://127.0.0.999/"), not_secure);
}

TEST(CxoneUrl, Endpoints)
{
    for (const char *url : {"https://hook.example.com/webhook", "http://hook.example.com:9090/webhook",
                            "http://192.0.2.7/", "HTTPS://Hook.Example.com/"})
        EXPECT_EQ(problem_of_endpoint_url(url), "") << url;
}

TEST(CxoneUrl, TheSame)
{
    const std::string url = "https://host.example/a/B?x=1";
    for (const char *same : {"https://host.example/a/B?x=1", "HTTPS://HOST.Example/a/B?x=1",
                             "https://host.example:443/a/B?x=1", "https://host.example/a/B/?x=1"}) {
        EXPECT_TRUE(is_same_url(url, same)) << same;
        EXPECT_TRUE(is_same_url(same, url)) << same;
    }
    for (const char *other :
         {"http://host.example/a/B?x=1", "https://host.example:444/a/B?x=1", "https://host.example/a/b?x=1",
          "https://host.example/a/B?x=2", "https://host.example/a/B", "https://host.example/a/B?X=1",
          "https://other.example/a/B?x=1", "", "host.example/a/B?x=1", "https://host.example/a?x=1"}) {
        EXPECT_FALSE(is_same_url(url, other)) << other;
        EXPECT_FALSE(is_same_url(other, url)) << other;
    }
    EXPECT_TRUE(is_same_url("https://host", "https://host/"));
    EXPECT_TRUE(is_same_url("http://host", "http://host:80"));
    EXPECT_FALSE(is_same_url("http://host:443", "https://host"));
    EXPECT_TRUE(is_same_url("https://h/a/./b", "https://h/a/b"));
}

TEST(CxoneUrl, WhatIsNoUrlIsOnlyItself)
{
    EXPECT_TRUE(is_same_url("", ""));
    EXPECT_TRUE(is_same_url("no url", "no url"));
    EXPECT_FALSE(is_same_url("no url", "No url"));
    EXPECT_FALSE(is_same_url("no url", "https://host"));
}

TEST(CxoneUrl, ReferencesAtTheOrigin)
{
    const std::string base = "https://host.example/api/v2/dataactions?page=1";
    EXPECT_EQ(resolved_at_origin(base, "?page=2"), "https://host.example/api/v2/dataactions?page=2");
    EXPECT_EQ(resolved_at_origin(base, "/api/x?page=2"), "https://host.example/api/x?page=2");
    EXPECT_EQ(resolved_at_origin(base, "next"), "https://host.example/api/v2/next");
    EXPECT_EQ(resolved_at_origin(base, "../v3/next"), "https://host.example/api/v3/next");
    EXPECT_EQ(resolved_at_origin(base, "https://host.example/p2"), "https://host.example/p2");
    EXPECT_EQ(resolved_at_origin(base, "https://HOST.example:443/p2").substr(0, 8), "https://");
    EXPECT_EQ(resolved_at_origin(base, "//host.example/p2"), "https://host.example/p2");
    EXPECT_EQ(resolved_at_origin("http://localhost:8080/a", "b"), "http://localhost:8080/b");
}

TEST(CxoneUrl, ReferencesThatLeadElsewhere)
{
    const std::string base = "https://host.example/api";
    for (const std::string &reference :
         {"https://other.example/api"s, "http://host.example/api"s, "https://host.example:8443/api"s,
          "//other.example/api"s, "javascript:alert(1)"s, "ftp://host.example/"s, "file:///etc/passwd"s,
          "/api\r\nX-Header: y"s, "/api?a b"s, "/a\0b"s, "https://host.example@other.example/"s,
          "https://host.example.other.example/"s, "https://host.exampl"s, "data:text/plain,x"s,
          "https://other.example#@host.example/"s, "//@host.example/api"s, "https://:@host.example/api"s})
        EXPECT_EQ(resolved_at_origin(base, reference), "") << reference;
    EXPECT_EQ(resolved_at_origin("no url", "/x"), "");
    EXPECT_EQ(resolved_at_origin("", "https://host.example/"), "");
}

} // namespace
} // namespace cxone_sync
