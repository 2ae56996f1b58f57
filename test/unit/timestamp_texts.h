#pragma once

#include <cstdint>
#include <random>
#include <string>

/*
 * Makes texts that are, or nearly are, timestamps: the same ones for the same seed on every machine, which is
 * why it uses the generator's numbers directly and none of the library's distributions.
 */
class TimestampTexts {
public:
    explicit TimestampTexts(std::uint64_t seed) : random_(seed) {}

    /* Some form that is tolerated, some year from 1 to 9999, always a date that exists. */
    std::string valid()
    {
        std::string text = date() + one_of("TTTt ") + time();
        if (below(3) != 0)
            text += fraction();
        return text + offset();
    }

    /* A valid text with one to three characters changed; by chance it may still be valid. */
    std::string mutated()
    {
        std::string text = valid();
        for (unsigned i = 0; i <= below(3); i++)
            mutate(text);
        return text;
    }

    /* Something a sender might mean as a time, but that is wrong in exactly one way. */
    std::string wrong()
    {
        const std::string day = date();
        const std::string hours = time();
        const std::string zone = offset();
        switch (below(20)) {
        case 0:
            return "0000" + day.substr(4) + "T" + hours + zone;
        case 1:
            return day.substr(0, 5) + (below(2) ? "00" : padded(13 + below(87), 2)) + day.substr(7) + "T" +
                   hours + zone;
        case 2:
            return day.substr(0, 8) + (below(2) ? "00" : padded(32 + below(68), 2)) + "T" + hours + zone;
        case 3:
            return day.substr(0, 5) + (below(2) ? "02-30" : "04-31") + "T" + hours + zone;
        case 4:
            return padded(1 + 4 * below(2499), 4) + "-02-29T" + hours + zone;
        case 5:
            return day + "T" + padded(24 + below(76), 2) + hours.substr(2) + zone;
        case 6:
            return day + "T" + (below(2) ? "24:00:00" : "24:00:01") + zone;
        case 7:
            return day + "T" + hours.substr(0, 3) + padded(60 + below(40), 2) + hours.substr(5) + zone;
        case 8:
            return day + "T" + hours.substr(0, 6) + padded(61 + below(39), 2) + zone;
        case 9:
            return day + "T23:59:60" + fraction() + zone;
        case 10:
            return day + "T" + hours + one_of("+-") + padded(16 + below(84), 2) + ":" + padded(below(60), 2);
        case 11:
            return day + "T" + hours + one_of("+-") + padded(below(16), 2) + ":" + padded(60 + below(40), 2);
        case 12:
            return day + "T" + hours + (below(2) ? fraction() : "");
        case 13:
            return day + (below(2) ? "T" + hours.substr(0, 5) + zone : below(2) ? "T" + zone : zone);
        case 14:
            return day + "T" + hours + one_of("+-") + padded(below(16), 1 + below(3));
        case 15:
            return day + "T" + hours + "+01:00" + (below(2) ? ":00" : "00");
        case 16:
            return day + "T" + hours + one_of(".,") + (below(2) ? "" : "5") + one_of(" ,+") + zone;
        case 17:
            return below(2) ? " " + day + "T" + hours + zone : day + "T" + hours + zone + " ";
        case 18:
            return day.substr(0, 4) + day.substr(5, 2) + day.substr(8) + "T" + hours.substr(0, 2) +
                   hours.substr(3, 2) + hours.substr(6) + zone;
        default:
            return words();
        }
    }

private:
    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
    std::string one_of(const std::string &characters)
    {
        return {characters[below(static_cast<unsigned>(characters.size()))]};
    }

    static std::string padded(unsigned number, std::size_t width)
    {
        const std::string digits = std::to_string(number);
        return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
    }

    static bool is_leap(unsigned year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

    unsigned year()
    {
        switch (below(4)) {
        case 0:
            return 1 + below(9999);
        case 1:
            return 100 * (1 + below(99)); /* of these only every fourth is a leap year */
        case 2:
            return below(2) ? 1 + below(3) : 9999 - below(3);
        default:
            return 1970 + below(100);
        }
    }

    std::string date()
    {
        static constexpr unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        const unsigned y = year();
        unsigned month = 1 + below(12);
        unsigned day = 1 + below(days[month - 1]);
        if (is_leap(y) && below(4) == 0) {
            month = 2;
            day = 29;
        } else if (below(4) == 0) {
            day = below(2) ? 1 : days[month - 1];
        }
        return padded(y, 4) + "-" + padded(month, 2) + "-" + padded(day, 2);
    }

    std::string time()
    {
        if (below(16) == 0)
            return "23:59:59";
        unsigned second = below(61);
        const unsigned hour = below(24);
        const unsigned minute = below(60);
        if (hour == 23 && minute == 59 && second == 60)
            second = 59; /* no fraction may follow there */
        return padded(hour, 2) + ":" + padded(minute, 2) + ":" + padded(second, 2);
    }

    std::string fraction()
    {
        std::string digits = ".";
        const unsigned kind = below(8);
        const unsigned length = kind == 0 ? 7 + below(90) : 1 + below(12);
        for (unsigned i = 0; i < length; i++)
            digits += kind == 1 ? '9' : kind == 2 ? '0' : static_cast<char>('0' + below(10));
        if (kind <= 5 && length > 6)
            digits = digits.substr(0, 7) + (kind == 3   ? "49"
                                            : kind == 4 ? "50"
                                            : kind == 5 ? "5"
                                                        : digits.substr(7));
        return digits;
    }

    std::string offset()
    {
        if (below(3) == 0)
            return below(4) ? "Z" : "z";
        const unsigned hour = below(8) == 0 ? 15 : below(16);
        const unsigned minute = below(4) == 0 ? 59 : below(60);
        return one_of("+-") + padded(hour, 2) + (below(2) ? ":" : "") + padded(minute, 2);
    }

    void mutate(std::string &text)
    {
        static const std::string alphabet = "0123456789:-+.,TtZz /abUC";
        const unsigned at = below(static_cast<unsigned>(text.size()));
        switch (below(5)) {
        case 0:
            text.erase(at, 1);
            break;
        case 1:
            text.insert(at, one_of(alphabet));
            break;
        case 2:
            text.resize(at + 1);
            break;
        case 3:
            text.insert(at, 1, text[at]);
            break;
        default:
            text[at] = one_of(alphabet)[0];
        }
        if (text.empty())
            text = "Z";
    }

    std::string words()
    {
        static const std::string texts[] = {
            "",
            " ",
            "now",
            "today",
            "tomorrow",
            "yesterday",
            "epoch",
            "infinity",
            "-infinity",
            "allballs",
            "null",
            "1785600000000",
            "1785600000",
            "12/06/2024",
            "12/06/2024 10:00:00 PM",
            "20240612",
            "2024-06-12",
            "2024-06-12T",
            "2024-163T00:00:00Z",
            "2024-W24-3T00:00:00Z",
            "J2451545",
            "June 12, 2024",
            "Wed, 12 Jun 2024 10:00:00 GMT",
            "Wed Jun 12 10:00:00 2024 PST",
            "2021-07-27T00:00:00",
            "2021-07-27T00:00:00 Z",
            "2021-07-27T00:00:00 +01:00",
            "2021-07-27T00:00:00UTC",
            "2021-07-27T00:00:00 Europe/Berlin",
            "2021-07-27T00:00:00Z+01:00",
            "2021-07-27T00:00:00+01:00 BC",
            "2021-07-27T00:00:00Z[UTC]",
            "2022-12-12T14:41:45+0,0:00",
            "10000-01-01T00:00:00Z",
            "+2021-07-27T00:00:00Z",
            "-0001-07-27T00:00:00Z",
            "21-07-27T00:00:00Z",
            "2021-7-27T0:00:00Z",
            "2021/07/27T00:00:00Z",
            "2021.07.27T00:00:00Z",
            "2021-07-27_00:00:00Z",
            "2021-07-27  00:00:00Z",
            "2021-07-27 T00:00:00Z",
            "2021-07-27T00.00.00Z",
            "2021-07-27T00:00:00.Z",
            "2021-07-27T00:00:00.1e3Z",
            "2021-07-27T00:00:00.0x1Z",
            "2021-07-27T00:00:00.+5Z",
            "2021-07-27T00:00:00,5Z",
            "2021-07-27T00:00:00+1:00",
            "2021-07-27T00:00:00+01:0",
            "2021-07-27T00:00:00--01:00",
            "2021-07-27T00:00:00\xE2\x88\x92"
            "01:00",
            "\xD9\xA2\xD9\xA0\xD9\xA2\xD9\xA1-07-27T00:00:00Z",
        };
        return texts[below(static_cast<unsigned>(std::size(texts)))];
    }

    std::mt19937_64 random_;
};
