#include "core/secret_file.h"

#include "core/utf8.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace cxone_sync {

namespace {

constexpr std::size_t max_size = 8192;

struct File {
    int fd;
    ~File()
    {
        if (fd >= 0)
            close(fd);
    }
};

std::string system_problem(const char *what)
{
    return std::string(what) + ": " + std::generic_category().message(errno);
}

std::string problem_of_permissions(const struct stat &status, std::string &hint)
{
    if (!S_ISREG(status.st_mode))
        return "it is no regular file";
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        hint = "The file has to belong to the user of the server or to root.";
        return "it belongs to somebody else";
    }
    const mode_t forbidden = status.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if (status.st_mode & forbidden) {
        hint =
            "Permissions have to be u=rw (0600) or less if the user of the server owns the file, or u=rw,g=r "
            "(0640) or less if root does.";
        return "group or others have access to it";
    }
    return {};
}

} // namespace

std::string read_secret_file(const std::string &path, Secret &secret, std::string &hint)
{
    struct stat status;
    /* one byte more than allowed, to see whether there is more */
    std::vector<char, WipingAllocator<char>> bytes(max_size + 1);
    /* a named pipe without a writer must not hold us up */
    const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};

    if (file.fd < 0)
        return system_problem("it could not be opened");
    if (fstat(file.fd, &status) != 0)
        return system_problem("it could not be looked at");
    if (std::string problem = problem_of_permissions(status, hint); !problem.empty())
        return problem;
    const ssize_t size = read(file.fd, bytes.data(), bytes.size());
    if (size < 0)
        return system_problem("it could not be read");

    std::string_view text(bytes.data(), static_cast<std::size_t>(size));
    if (text.size() > max_size)
        return "it is larger than " + std::to_string(max_size) + " bytes";
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    if (text.ends_with('\r'))
        text.remove_suffix(1);
    if (text.empty())
        return "it is empty";
    if (text.find('\0') != std::string_view::npos)
        return "it holds a zero byte";
    if (!is_valid_utf8(text))
        return "it is not valid UTF-8";
    secret = Secret(text);
    return {};
}

} // namespace cxone_sync
