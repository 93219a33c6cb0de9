<?php
/**
 * Words of Roundcube's plugins that are wrong in Vietnamese. Loaded before them: the first text of a name stays.
 */
class tram_words extends rcube_plugin
{
    /** "Mật khẩu phải dài ít nhất $ ký tự": the variable's name was lost in translation. */
    private const VI = ['password.passwordshort' => 'Mật khẩu phải dài ít nhất $length ký tự'];

    public function init()
    {
        $rcmail = rcmail::get_instance();
        $language = $_SESSION['language'] ?? $rcmail->config->get('language');
        if ($language === 'vi_VN') {
            $rcmail->load_language($language, self::VI);
        }
    }
}
