#include "cxone/token.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

using namespace std::string_literals;

/* ---- asking for a token ---- */

ApiSettings settings_with(Grant grant, ClientAuthentication authentication = ClientAuthentication::body,
                          TokenRequestFormat format = TokenRequestFormat::form)
{
    ApiSettings settings;
    settings.token_url = "https://auth.example/oauth2/token";
    settings.ca_file = "ca.pem";
    settings.token_timeout_ms = 1234;
    settings.grant = grant;
    settings.client_authentication = authentication;
    settings.token_format = format;
    settings.client_id = "my id";
    settings.client_secret = Secret("a+b&c%/====");
    settings.username = "user@example";
    settings.password = Secret("p\"w\\=ü");
    settings.scope = "dataaction:read dataaction:write";
    settings.token_fields = {"access_token", "token"};
    settings.expiry_fields = {"expires_in", "expiresIn", "tokenExpirationTimeSec"};
    return settings;
}

const std::string form_type = "Content-Type: application/x-www-form-urlencoded";
const std::string json_type = "Content-Type: application/json";
/* my%20id:a%2Bb%26c%25%2F%3D%3D%3D%3D */
const std::string basic = "Authorization: Basic bXklMjBpZDphJTJCYiUyNmMlMjUlMkYlM0QlM0QlM0QlM0Q=";
const std::string scope_parameter = "&scope=dataaction%3Aread%20dataaction%3Awrite";

void expect_call(const ApiSettings &settings, const std::string &body,
                 const std::vector<std::string> &headers)
{
    const HttpCall call = token_call(settings);
    EXPECT_STREQ(call.method, "POST");
    EXPECT_EQ(call.url, settings.token_url);
    EXPECT_EQ(call.ca_file, "ca.pem");
    EXPECT_EQ(call.timeout_ms, 1234);
    EXPECT_EQ(call.body.view(), body);
    ASSERT_EQ(call.headers.size(), headers.size());
    for (std::size_t i = 0; i < headers.size(); i++)
        EXPECT_EQ(call.headers[i].view(), headers[i]);
}

TEST(CxoneTokenCall, ClientCredentials)
{
    constexpr Grant grant = Grant::client_credentials;
    const std::string json_scope = R"(,"scope":"dataaction:read dataaction:write"})";

    expect_call(settings_with(grant),
                "grant_type=client_credentials&client_id=my%20id"
                "&client_secret=a%2Bb%26c%25%2F%3D%3D%3D%3D" +
                    scope_parameter,
                {form_type});
    expect_call(settings_with(grant, ClientAuthentication::basic),
                "grant_type=client_credentials" + scope_parameter, {form_type, basic});
    expect_call(settings_with(grant, ClientAuthentication::body, TokenRequestFormat::json),
                R"({"grant_type":"client_credentials","client_id":"my id","client_secret":"a+b&c%/====")" +
                    json_scope,
                {json_type});
    expect_call(settings_with(grant, ClientAuthentication::basic, TokenRequestFormat::json),
                R"({"grant_type":"client_credentials")" + json_scope, {json_type, basic});
}

TEST(CxoneTokenCall, Password)
{
    constexpr Grant grant = Grant::password;
    const std::string form = "grant_type=password&username=user%40example&password=p%22w%5C%3D%C3%BC";
    const std::string json = R"({"grant_type":"password","username":"user@example","password":"p\"w\\=ü")";
    const std::string json_scope = R"(,"scope":"dataaction:read dataaction:write"})";

    expect_call(settings_with(grant),
                form + "&client_id=my%20id&client_secret=a%2Bb%26c%25%2F%3D%3D%3D%3D" + scope_parameter,
                {form_type});
    expect_call(settings_with(grant, ClientAuthentication::basic), form + scope_parameter,
                {form_type, basic});
    expect_call(settings_with(grant, ClientAuthentication::body, TokenRequestFormat::json),
                json + R"(,"client_id":"my id","client_secret":"a+b&c%/====")" + json_scope, {json_type});
    expect_call(settings_with(grant, ClientAuthentication::basic, TokenRequestFormat::json),
                json + json_scope, {json_type, basic});
}

/* It has one form only, whatever the other settings are. */
TEST(CxoneTokenCall, AccessKey)
{
    for (const auto authentication : {ClientAuthentication::body, ClientAuthentication::basic}) {
        for (const auto format : {TokenRequestFormat::form, TokenRequestFormat::json})
            expect_call(settings_with(Grant::access_key, authentication, format),
                        R"({"accessKeyId":"my id","accessKeySecret":"a+b&c%/===="})", {json_type});
    }
}

TEST(CxoneTokenCall, WithoutAScope)
{
    ApiSettings settings = settings_with(Grant::client_credentials, ClientAuthentication::basic);
    settings.scope.clear();
    expect_call(settings, "grant_type=client_credentials", {form_type, basic});
}

/* RFC 6749 section 2.3.1 */
TEST(CxoneTokenCall, BasicOfTheRfc)
{
    ApiSettings settings = settings_with(Grant::client_credentials, ClientAuthentication::basic);
    settings.client_id = "s6BhdRkqt3";
    settings.client_secret = Secret("7Fjfp0ZBr1KtDRbnfVdmIw");
    EXPECT_EQ(token_call(settings).headers.at(1).view(),
              "Authorization: Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");
    /* a colon in the id does not move the border */
    settings.client_id = "a:b";
    settings.client_secret = Secret("c");
    EXPECT_EQ(token_call(settings).headers.at(1).view(), "Authorization: Basic YSUzQWI6Yw==");
}

/* What a secret holds never becomes a header or a parameter of its own. */
TEST(CxoneTokenCall, HostileSecrets)
{
    ApiSettings settings = settings_with(Grant::client_credentials);
    settings.client_id = "x&client_id=y";
    settings.client_secret = Secret("a\r\nX-Header: b\"},{\"");
    settings.scope.clear();
    EXPECT_EQ(token_call(settings).body.view(), "grant_type=client_credentials&client_id=x%26client_id%3Dy"
                                                "&client_secret=a%0D%0AX-Header%3A%20b%22%7D%2C%7B%22");
    settings.token_format = TokenRequestFormat::json;
    EXPECT_EQ(token_call(settings).body.view(),
              R"({"grant_type":"client_credentials","client_id":"x&client_id=y",)"
              R"("client_secret":"a\u000d\u000aX-Header: b\"},{\""})");
    settings.client_authentication = ClientAuthentication::basic;
    EXPECT_EQ(token_call(settings).headers.at(1).view().find_first_of("\r\n"), std::string_view::npos);
}

/* ---- reading the reply ---- */

std::string problem_of(const std::string &body)
{
    Token token;
    const std::string problem = read_token(body, settings_with(Grant::client_credentials), token);
    EXPECT_EQ(token.text.empty(), !problem.empty());
    return problem;
}

std::string text_of(const std::string &body)
{
    Token token;
    EXPECT_EQ(read_token(body, settings_with(Grant::client_credentials), token), "");
    return std::string(token.text.view());
}

std::int64_t lifetime_of(const std::string &members)
{
    Token token;
    EXPECT_EQ(read_token("{\"token\":\"t\"" + members + "}", settings_with(Grant::client_credentials), token),
              "");
    return token.lifetime_s;
}

TEST(CxoneReadToken, Names)
{
    EXPECT_EQ(text_of(R"({"access_token":"abc.def-ghi","token_type":"Bearer"})"), "abc.def-ghi");
    EXPECT_EQ(text_of(R"({"token":"t2"})"), "t2");
    EXPECT_EQ(text_of(R"({"token":"t2","access_token":"t1"})"), "t1");
    EXPECT_EQ(text_of(R"({"access_token":"","token":"t2"})"), "t2");
    EXPECT_EQ(text_of(R"({"access_token":null,"token":"t2"})"), "t2");
    EXPECT_EQ(text_of(R"({"access_token":["x"],"token":"t2"})"), "t2");
    EXPECT_EQ(text_of(R"({"access_token":"a\/b\u002bc=="})"), "a/b+c==");
    EXPECT_EQ(text_of(R"({"access_token":12345678901234567890})"), "12345678901234567890");
    EXPECT_EQ(text_of("{\"access_token\":\"" + std::string(8192, 'x') + "\"}").size(), 8192u);
}

TEST(CxoneReadToken, NamesOfTheSettings)
{
    ApiSettings settings = settings_with(Grant::client_credentials);
    settings.token_fields = {"jwt"};
    settings.expiry_fields = {"ttl"};
    Token token;
    EXPECT_EQ(read_token(R"({"access_token":"a","jwt":"j","ttl":5,"expires_in":6})", settings, token), "");
    EXPECT_EQ(token.text.view(), "j");
    EXPECT_EQ(token.lifetime_s, 5);
    EXPECT_EQ(read_token(R"({"access_token":"a"})", settings, token), "the reply has no text at \"jwt\"");
    EXPECT_EQ(token.text.view(), "j");
}

TEST(CxoneReadToken, WhatIsNoToken)
{
    const std::string missing = "the reply has no text at \"access_token\", \"token\"";
    for (const char *body :
         {"{}", R"({"access_token":""})", R"({"access_token":null})", R"({"access_token":true})",
          R"({"access_token":{"token":"t"}})", R"({"data":{"access_token":"t"}})", R"({"Access_Token":"t"})"})
        EXPECT_EQ(problem_of(body), missing) << body;
    for (const char *body : {"[]", "null", "\"token\"", "7", R"([{"access_token":"t"}])"})
        EXPECT_EQ(problem_of(body), "the reply is no JSON object") << body;
    for (const char *body : {"", "<html>", "access_token=t&expires_in=3600", "{\"access_token\":\"t\""})
        EXPECT_TRUE(problem_of(body).starts_with("invalid JSON at byte ")) << body;
    EXPECT_EQ(problem_of("{\"access_token\":\"\xFF\"}"), "the reply is not valid UTF-8");
}

TEST(CxoneReadToken, TokensThatNoHeaderMayHave)
{
    for (const char *text : {R"(a\nb)", R"(a\r\nX-Header: b)", "a b", R"(a\u0000b)", "ü", R"(a\tb)",
                             R"(\u007f)", " ", R"(\ud800)"})
        EXPECT_EQ(problem_of("{\"access_token\":\""s + text + "\"}"),
                  "the token has characters that no header may have")
            << text;
}

TEST(CxoneReadToken, Lifetimes)
{
    EXPECT_EQ(lifetime_of(R"(,"expires_in":7200)"), 7200);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":"7200")"), 7200);
    EXPECT_EQ(lifetime_of(R"(,"expiresIn":1)"), 1);
    EXPECT_EQ(lifetime_of(R"(,"tokenExpirationTimeSec":"60")"), 60);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":3600.5)"), 3600);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":"  90 ")"), 90);
    EXPECT_EQ(lifetime_of(R"(,"tokenExpirationTimeSec":60,"expires_in":50)"), 50);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":86400)"), 86400);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":86401)"), 86400);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":99999999999999999999)"), 86400);
    EXPECT_EQ(lifetime_of(R"(,"expires_in":9223372036854775807)"), 86400);
}

TEST(CxoneReadToken, WithoutALifetimeItIsAnHour)
{
    for (const char *members :
         {"", R"(,"expires_in":0)", R"(,"expires_in":-1)", R"(,"expires_in":"")", R"(,"expires_in":"soon")",
          R"(,"expires_in":null)", R"(,"expires_in":true)", R"(,"expires_in":[60])", R"(,"expires_in":" ")",
          R"(,"expires_in":1e999)", R"(,"expires_in":"-9223372036854775808")"})
        EXPECT_EQ(lifetime_of(members), 3600) << members;
}

TEST(CxoneReadToken, LifetimesWithAnExponent)
{
    EXPECT_GE(lifetime_of(R"(,"expires_in":3.6e3)"), 3600);
    EXPECT_GE(lifetime_of(R"(,"expires_in":1E5)"), 3600);
}

} // namespace
} // namespace cxone_sync
